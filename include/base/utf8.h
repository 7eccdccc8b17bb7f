/*
 * UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef GATEHOUSE_BASE_UTF8_H
#define GATEHOUSE_BASE_UTF8_H

#include "base/bytes.h"

#define UTF8_MAX 4 /* bytes of one character */

#define UTF8_REPLACEMENT 0xfffd /* U+FFFD, for what is not valid */

/* For bytes above 0x7f; called by utf8_decode. */
size_t utf8_decode_multibyte(struct span text, uint32_t *point);

/* The character at the start of `text`, which is not empty: its length, or 0 if it is not valid. */
static inline size_t utf8_decode(struct span text, uint32_t *point)
{
	*point = text.data[0];
	return text.data[0] < 0x80 ? 1 : utf8_decode_multibyte(text, point);
}

/* `point` is a valid one; no NUL is added. Returns the length. */
size_t utf8_encode(uint32_t point, char out[UTF8_MAX]);

bool utf8_is_valid(struct span text);

/* Control characters, and what makes a terminal break a line or change the direction of text. */
bool utf8_is_control(uint32_t point);

#endif
