#include "base/json_scan.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* What stands at `at`, as the end of a message. */
static void describe_at(const struct json *json, size_t at, char out[64])
{
	unsigned char c = at < json->len ? (unsigned char)json->text[at] : 0;
	if (at >= json->len)
		snprintf(out, 64, "the end of the file");
	else if (c == '/' || c == '#')
		snprintf(out, 64, "\"%c\" (JSON has no comments)", c);
	else if (c == '"')
		snprintf(out, 64, "a string");
	else if (c > 0x20 && c < 0x7f)
		snprintf(out, 64, "\"%c\"", c);
	else
		snprintf(out, 64, "byte 0x%02X", c);
}

/* Always false, so that a caller can return it. */
static bool fail_at(struct json *json, size_t at, const char *what)
{
	if (json->failed)
		return false;
	json->failed = true;
	json->fault_at = at;
	err_set(&json->fault, "%s", what);
	return false;
}

static bool fail_expected(struct json *json, const char *what)
{
	char got[64], text[192];
	describe_at(json, json->at, got);
	snprintf(text, sizeof text, "expected %s, got %s", what, got);
	return fail_at(json, json->at, text);
}

static bool check_encoding(struct json *json)
{
	const unsigned char *s = (const unsigned char *)json->text;
	size_t at = 0, len = json->len;
	if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		return fail_at(json, 0,
			"the file begins with a byte order mark: save it as UTF-8 without one");
	while (at < len) {
		uint64_t eight;
		if (len - at >= 8 &&
			(memcpy(&eight, s + at, 8), (eight & 0x8080808080808080) == 0)) {
			at += 8;
			continue;
		}
		uint32_t point;
		size_t step = utf8_decode(span_of(s + at, len - at), &point);
		if (step == 0)
			return fail_at(json, at, "the file is not UTF-8");
		at += step;
	}
	return true;
}

static void skip_space(struct json *json)
{
	size_t at = json->at;
	while (at < json->len &&
		(json->text[at] == ' ' || json->text[at] == '\n' || json->text[at] == '\t' ||
			json->text[at] == '\r'))
		at++;
	json->at = at;
}

void json_resume(struct json *json, const char *text, size_t len, size_t at)
{
	json->text = text;
	json->len = len;
	json->at = at;
	json->depth = 0;
	json->fresh = false;
	json->failed = false;
	json->fault_at = 0;
	json->fault.text[0] = '\0';
	skip_space(json);
}

bool json_begin(struct json *json, const char *text, size_t len)
{
	json_resume(json, text, len, 0);
	return check_encoding(json);
}

char json_peek(const struct json *json)
{
	return json->at < json->len ? json->text[json->at] : '\0';
}

static bool read_hex4(const char *s, size_t left, unsigned *out)
{
	unsigned value = 0;
	if (left < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
			: c >= 'a' && c <= 'f'        ? (unsigned)(c - 'a' + 10)
			: c >= 'A' && c <= 'F'        ? (unsigned)(c - 'A' + 10)
						      : 16;
		if (digit == 16)
			return false;
		value = value << 4 | digit;
	}
	*out = value;
	return true;
}

/* `at` stands behind "\u"; a high surrogate takes the low one behind it along. */
static bool skip_unicode_escape(struct json *json, size_t *at)
{
	unsigned code, low;
	const char *s = json->text + *at;
	size_t left = json->len - *at;
	if (!read_hex4(s, left, &code))
		return fail_at(json, *at - 2, "expected four hexadecimal digits after \"\\u\"");
	if (code == 0)
		return fail_at(json, *at - 2, "\"\\u0000\" is not allowed in a string");
	*at += 4;
	if (code < 0xd800 || code > 0xdfff)
		return true;
	if (code > 0xdbff || left < 10 || s[4] != '\\' || s[5] != 'u' ||
		!read_hex4(s + 6, left - 6, &low) || low < 0xdc00 || low > 0xdfff)
		return fail_at(json, *at - 6, "half of a surrogate pair in a string");
	*at += 6;
	return true;
}

static bool skip_escape(struct json *json, size_t *at)
{
	char c = *at + 1 < json->len ? json->text[*at + 1] : '\0';
	*at += 2;
	if (c == 'u')
		return skip_unicode_escape(json, at);
	if (c != '\0' && strchr("\"\\/bfnrt", c))
		return true;
	return fail_at(json, *at - 2, "expected one of \" \\ / b f n r t u after a backslash");
}

static bool skip_string(struct json *json)
{
	size_t at = json->at + 1;
	while (at < json->len) {
		unsigned char c = (unsigned char)json->text[at];
		if (c == '"') {
			json->at = at + 1;
			return true;
		}
		if (c < 0x20) {
			char text[96];
			snprintf(text, sizeof text,
				"a raw control character (byte 0x%02X) in a string: is its closing quote missing?",
				c);
			return fail_at(json, at, text);
		}
		if (c != '\\')
			at++;
		else if (!skip_escape(json, &at))
			return false;
	}
	return fail_at(json, json->at, "this string is never closed");
}

static size_t skip_digits(struct json *json)
{
	size_t from = json->at;
	while (json->at < json->len && json->text[json->at] >= '0' && json->text[json->at] <= '9')
		json->at++;
	return json->at - from;
}

static bool skip_number(struct json *json)
{
	if (json_peek(json) == '-')
		json->at++;
	if (json_peek(json) == '0')
		json->at++;
	else if (skip_digits(json) == 0)
		return fail_expected(json, "a digit");
	if (json_peek(json) == '.') {
		json->at++;
		if (skip_digits(json) == 0)
			return fail_expected(json, "a digit");
	}
	if (json_peek(json) == 'e' || json_peek(json) == 'E') {
		json->at++;
		if (json_peek(json) == '+' || json_peek(json) == '-')
			json->at++;
		if (skip_digits(json) == 0)
			return fail_expected(json, "a digit");
	}
	return true;
}

static bool skip_literal(struct json *json, const char *word)
{
	size_t len = strlen(word);
	if (json->len - json->at < len || memcmp(json->text + json->at, word, len) != 0)
		return fail_expected(json, "a value");
	json->at += len;
	return true;
}

static bool skip_scalar(struct json *json)
{
	char c = json_peek(json);
	if (c == '"')
		return skip_string(json);
	if (c == '-' || (c >= '0' && c <= '9'))
		return skip_number(json);
	if (c == 't')
		return skip_literal(json, "true");
	if (c == 'f')
		return skip_literal(json, "false");
	return c == 'n' ? skip_literal(json, "null") : fail_expected(json, "a value");
}

bool json_enter(struct json *json)
{
	char c = json_peek(json);
	if (json->failed)
		return false;
	if (c != '{' && c != '[')
		return fail_expected(json, "an object or a list");
	if (json->depth == JSON_DEPTH_MAX)
		return fail_at(json, json->at, "nested deeper than 64 levels");
	json->closers[json->depth++] = c == '{' ? '}' : ']';
	json->fresh = true;
	json->at++;
	return true;
}

static bool take_name(struct json *json, struct json_member *member)
{
	if (json_peek(json) != '"')
		return fail_expected(json, "a name in double quotes");
	if (!skip_string(json))
		return false;
	member->name = json->text + member->at + 1;
	member->name_len = json->at - member->at - 2;
	skip_space(json);
	if (json_peek(json) != ':')
		return fail_expected(json, "\":\" after a name");
	json->at++;
	skip_space(json);
	return true;
}

bool json_next(struct json *json, struct json_member *member)
{
	if (json->failed || json->depth == 0)
		return false;
	char closer = json->closers[json->depth - 1];
	skip_space(json);
	bool fresh = json->fresh;
	json->fresh = false;
	if (json_peek(json) == closer) {
		json->at++;
		json->depth--;
		return false;
	}
	if (!fresh) {
		if (json_peek(json) != ',')
			return fail_expected(
				json, closer == '}' ? "\",\" or \"}\"" : "\",\" or \"]\"");
		json->at++;
		skip_space(json);
	}
	*member = (struct json_member){.at = json->at};
	return closer == ']' || take_name(json, member);
}

bool json_skip(struct json *json, size_t *end)
{
	struct json_member member;
	unsigned floor = json->depth;
	do {
		char c = json_peek(json);
		if (json->failed || !(c == '{' || c == '[' ? json_enter(json) : skip_scalar(json)))
			return false;
		while (json->depth > floor && !json_next(json, &member))
			if (json->failed)
				return false;
	} while (json->depth > floor);
	*end = json->at;
	return true;
}

bool json_end(struct json *json)
{
	if (json->failed)
		return false;
	skip_space(json);
	return json->at == json->len || fail_expected(json, "the end of the file");
}

/* `raw` follows the "\u" of a valid escape. Returns how many bytes of it were used. */
static size_t decode_unicode(const char *raw, char **out)
{
	unsigned code = 0, low = 0;
	read_hex4(raw, 4, &code);
	if (code < 0xd800 || code > 0xdbff) {
		*out += utf8_encode(code, *out);
		return 4;
	}
	read_hex4(raw + 6, 4, &low);
	*out += utf8_encode(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00), *out);
	return 10;
}

void json_decode(const char *raw, size_t len, char *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	for (const char *end = raw + len; raw < end;) {
		if (*raw != '\\') {
			*out++ = *raw++;
			continue;
		}
		const char *special = strchr(from, raw[1]);
		raw += 2;
		if (raw[-1] == 'u')
			raw += decode_unicode(raw, &out);
		else
			*out++ = special ? to[special - from] : raw[-1];
	}
	*out = '\0';
}
