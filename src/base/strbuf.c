#include "base/strbuf.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool make_room(struct strbuf *text, size_t len)
{
	if (text->failed)
		return false;
	if (text->room - text->len > len)
		return true;
	size_t room = text->room ? text->room * 2 : 1024;
	while (room - text->len <= len)
		room *= 2;
	char *more = realloc(text->at, room);
	if (!more) {
		text->failed = true;
		return false;
	}
	text->at = more;
	text->room = room;
	return true;
}

void strbuf_append(struct strbuf *text, const char *data, size_t len)
{
	if (!make_room(text, len))
		return;
	memcpy(text->at + text->len, data, len);
	text->len += len;
	text->at[text->len] = '\0';
}

void strbuf_printf(struct strbuf *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0 || !make_room(text, (size_t)len))
		return;
	va_start(args, format);
	vsnprintf(text->at + text->len, (size_t)len + 1, format, args);
	va_end(args);
	text->len += (size_t)len;
}

void strbuf_finish(struct strbuf *text)
{
	free(text->at);
	*text = (struct strbuf){0};
}

void strbuf_label(struct strbuf *text, const char *value)
{
	uint32_t point;
	strbuf_append(text, "\"", 1);
	for (size_t left = strlen(value), len; left > 0; left -= len ? len : 1) {
		len = utf8_decode(span_of(value, left), &point);
		if (*value == '\n')
			strbuf_append(text, "\\n", 2);
		else if (*value == '"' || *value == '\\')
			strbuf_printf(text, "\\%c", *value);
		else if (len > 0)
			strbuf_append(text, value, len);
		else
			strbuf_append(text, "\xef\xbf\xbd", 3);
		value += len ? len : 1;
	}
	strbuf_append(text, "\"", 1);
}
