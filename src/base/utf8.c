#include "base/utf8.h"

size_t utf8_decode_multibyte(struct span text, uint32_t *point)
{
	static const uint32_t min[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *at = text.data;
	size_t len = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
	if (len == 0 || len > text.len)
		return 0;
	uint32_t code = at[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
	if (code < min[len] || code > 0x10ffff || is_surrogate)
		return 0;
	*point = code;
	return len;
}

size_t utf8_encode(uint32_t point, char out[UTF8_MAX])
{
	static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = len - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (point & 0x3f));
		point >>= 6;
	}
	out[0] = (char)(leads[len] | point);
	return len;
}

bool utf8_is_valid(struct span text)
{
	uint32_t point;
	for (size_t len; text.len > 0; text = span_of(text.data + len, text.len - len))
		if ((len = utf8_decode(text, &point)) == 0)
			return false;
	return true;
}

bool utf8_is_control(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x61c ||
		point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
		(point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}
