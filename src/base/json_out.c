#include "base/json_out.h"

#include "base/date.h"
#include "base/utf8.h"

#include <stdio.h>

size_t json_escape(uint32_t point, char out[JSON_ESCAPE_MAX])
{
	char letter = point == '\n' ? 'n' : point == '\r' ? 'r' : point == '\t' ? 't' : '\0';
	if (point == '"' || point == '\\')
		letter = (char)point;
	if (letter)
		return (size_t)snprintf(out, JSON_ESCAPE_MAX, "\\%c", letter);
	if (!utf8_is_control(point))
		return 0;
	return (size_t)snprintf(out, JSON_ESCAPE_MAX, "\\u%04x", (unsigned)point & 0xffff);
}

/* As an escape, or as it is. */
static size_t json_write_char(uint32_t point, char out[JSON_ESCAPE_MAX])
{
	size_t len = json_escape(point, out);
	return len ? len : utf8_encode(point, out);
}

size_t json_escape_next(struct span *rest, char out[JSON_ESCAPE_MAX])
{
	uint32_t point;
	size_t len = utf8_decode(*rest, &point);
	size_t step = len ? len : 1;
	*rest = span_of(rest->data + step, rest->len - step);
	return json_write_char(len ? point : UTF8_REPLACEMENT, out);
}

static void json_out_string(struct json_out *out, const char *value)
{
	char text[JSON_ESCAPE_MAX];
	strbuf_append(out->text, "\"", 1);
	for (struct span rest = span_of_string(value); rest.len > 0;) {
		size_t len = json_escape_next(&rest, text);
		strbuf_append(out->text, text, len);
	}
	strbuf_append(out->text, "\"", 1);
}

static void json_out_begin(struct json_out *out, const char *key)
{
	if (out->has_item)
		strbuf_append(out->text, ",", 1);
	out->has_item = true;
	if (!key)
		return;
	json_out_string(out, key);
	strbuf_append(out->text, ":", 1);
}

static void json_out_open(struct json_out *out, const char *key, bool is_list)
{
	json_out_begin(out, key);
	strbuf_append(out->text, is_list ? "[" : "{", 1);
	out->lists = out->lists << 1 | is_list;
	out->has_item = false;
}

void json_out_object(struct json_out *out, const char *key)
{
	json_out_open(out, key, false);
}

void json_out_list(struct json_out *out, const char *key)
{
	json_out_open(out, key, true);
}

void json_out_close(struct json_out *out)
{
	strbuf_append(out->text, out->lists & 1 ? "]" : "}", 1);
	out->lists >>= 1;
	out->has_item = true;
}

void json_out_text(struct json_out *out, const char *key, const char *value)
{
	json_out_begin(out, key);
	if (value)
		json_out_string(out, value);
	else
		strbuf_append(out->text, "null", 4);
}

void json_out_bytes(struct json_out *out, const char *key, struct span value)
{
	char text[JSON_ESCAPE_MAX];
	json_out_begin(out, key);
	strbuf_append(out->text, "\"", 1);
	for (size_t i = 0; i < value.len; i++) {
		size_t len = json_write_char(value.data[i], text);
		strbuf_append(out->text, text, len);
	}
	strbuf_append(out->text, "\"", 1);
}

void json_out_number(struct json_out *out, const char *key, long long value)
{
	json_out_begin(out, key);
	strbuf_printf(out->text, "%lld", value);
}

void json_out_real(struct json_out *out, const char *key, double value)
{
	json_out_begin(out, key);
	strbuf_printf(out->text, "%.3f", value);
}

void json_out_flag(struct json_out *out, const char *key, bool value)
{
	json_out_begin(out, key);
	strbuf_printf(out->text, "%s", value ? "true" : "false");
}

void json_out_date(struct json_out *out, const char *key, time_t when)
{
	char date[DATE_SIZE];
	date_write(when, date);
	json_out_text(out, key, date);
}

void json_out_raw(struct json_out *out, const char *key, const struct strbuf *json)
{
	out->text->failed |= json->failed;
	if (json->len == 0)
		return;
	json_out_begin(out, key);
	strbuf_append(out->text, json->at, json->len);
}
