#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool make_room(struct text *text, size_t len)
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

void text_append(struct text *text, const char *data, size_t len)
{
	if (!make_room(text, len))
		return;
	memcpy(text->at + text->len, data, len);
	text->len += len;
	text->at[text->len] = '\0';
}

void text_add(struct text *text, const char *format, ...)
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

void text_finish(struct text *text)
{
	free(text->at);
	*text = (struct text){0};
}

/* The length of the sound UTF-8 sequence (RFC 3629 section 4) that a text begins with, or 0. */
static size_t utf8_sequence(const unsigned char *at)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (at[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	bool is_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
	bool is_beyond = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
	return is_long || is_beyond ? 0 : len;
}

static void json_string(struct text *text, const char *value)
{
	text_append(text, "\"", 1);
	while (*value) {
		unsigned char byte = (unsigned char)*value;
		size_t len = utf8_sequence((const unsigned char *)value);
		if (len == 0)
			text_add(text, "\\ufffd");
		else if (byte == '"' || byte == '\\')
			text_add(text, "\\%c", byte);
		else if (byte < 0x20 || byte == 0x7f)
			text_add(text, "\\u%04x", byte);
		else
			text_append(text, value, len);
		value += len ? len : 1;
	}
	text_append(text, "\"", 1);
}

/* No comma behind a bracket that was just opened; keys end in a colon and are followed at once. */
static void json_key(struct text *text, const char *key)
{
	char last = text->len > 0 ? text->at[text->len - 1] : '{';
	if (last != '{' && last != '[')
		text_append(text, ",", 1);
	if (!key)
		return;
	json_string(text, key);
	text_append(text, ":", 1);
}

void json_open(struct text *text, const char *key, char bracket)
{
	json_key(text, key);
	text_append(text, &bracket, 1);
}

void json_close(struct text *text, char bracket)
{
	text_append(text, &bracket, 1);
}

void json_text(struct text *text, const char *key, const char *value)
{
	json_key(text, key);
	if (value)
		json_string(text, value);
	else
		text_append(text, "null", 4);
}

void json_number(struct text *text, const char *key, long long value)
{
	json_key(text, key);
	text_add(text, "%lld", value);
}

void json_real(struct text *text, const char *key, double value)
{
	json_key(text, key);
	text_add(text, "%.3f", value);
}

void json_flag(struct text *text, const char *key, bool value)
{
	json_key(text, key);
	text_add(text, "%s", value ? "true" : "false");
}

void json_date(struct text *text, const char *key, time_t when)
{
	char date[32];
	struct tm parts;
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &parts));
	json_text(text, key, date);
}

void text_label(struct text *text, const char *value)
{
	text_append(text, "\"", 1);
	while (*value) {
		size_t len = utf8_sequence((const unsigned char *)value);
		if (*value == '\n')
			text_append(text, "\\n", 2);
		else if (*value == '"' || *value == '\\')
			text_add(text, "\\%c", *value);
		else if (len > 0)
			text_append(text, value, len);
		else
			text_append(text, "\xef\xbf\xbd", 3);
		value += len ? len : 1;
	}
	text_append(text, "\"", 1);
}
