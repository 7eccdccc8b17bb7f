#include "base/printable.h"

#include "base/utf8.h"

/* \x1b, \u202e, or a character. */
#define PRINTABLE_MAX 8

/* Moves past one character. Returns the length of `out`, which ends with a NUL. */
static size_t escape_next(struct span *rest, char out[PRINTABLE_MAX])
{
	const uint8_t *at = rest->data;
	uint32_t point;
	size_t len = utf8_decode(*rest, &point), step = len ? len : 1;
	*rest = span_of(at + step, rest->len - step);
	if (len == 0 || (point < 0x20 && point != '\n') || point == 0x7f)
		return (size_t)snprintf(out, PRINTABLE_MAX, "\\x%02x", *at);
	if (point != '\n' && utf8_is_control(point))
		return (size_t)snprintf(out, PRINTABLE_MAX, "\\u%04x", (unsigned)point & 0xffff);
	memcpy(out, at, len);
	out[len] = '\0';
	return len;
}

void print_escaped(FILE *file, const char *text)
{
	char out[PRINTABLE_MAX];
	for (struct span rest = span_of_string(text); rest.len > 0;) {
		escape_next(&rest, out);
		fputs(out, file);
	}
}

int escaped_width(const char *text)
{
	char out[PRINTABLE_MAX];
	int width = 0;
	for (struct span rest = span_of_string(text); rest.len > 0;) {
		size_t len = escape_next(&rest, out);
		width += (uint8_t)out[0] < 0x80 ? (int)len : 1;
	}
	return width;
}

void print_diagnostic(const char *program, const char *text)
{
	fprintf(stderr, "%s: ", program);
	print_escaped(stderr, text);
	fputc('\n', stderr);
}
