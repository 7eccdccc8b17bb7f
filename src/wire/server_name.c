#include "wire/server_name.h"

static bool is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

static bool is_hex(uint8_t byte)
{
	return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* A dotted quad, leading zeros included: some resolver or other reads "010.0.0.1" as an address. */
static bool is_ipv4(struct span text)
{
	unsigned dots = 0, digits = 0, value = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (is_digit(text.data[i])) {
			value = value * 10 + (text.data[i] - '0');
			if (++digits > 3 || value > 255)
				return false;
		} else if (text.data[i] == '.' && digits > 0 && dots < 3) {
			dots++;
			digits = value = 0;
		} else {
			return false;
		}
	}
	return dots == 3 && digits > 0;
}

/* What can only be meant as one, valid or not: every form has two colons; "%" begins a zone. */
static bool is_ipv6(struct span text)
{
	unsigned colons = 0;
	for (size_t i = 0; i < text.len && text.data[i] != '%'; i++) {
		if (text.data[i] == ':')
			colons++;
		else if (!is_hex(text.data[i]) && text.data[i] != '.')
			return false;
	}
	return colons >= 2;
}

static bool is_ip(struct span text)
{
	if (text.len == 0)
		return false;
	if (text.data[0] == '[')
		return memchr(text.data, ']', text.len) != NULL;
	/* The first bytes exclude most names: an address begins with a digit, hex digit or colon. */
	if (!is_hex(text.data[0]) && text.data[0] != ':')
		return false;
	return is_ipv4(text) || is_ipv6(text);
}

static const char *copy_labels(struct span name, char *out)
{
	uint8_t before = '.';
	for (size_t i = 0; i < name.len; i++) {
		uint8_t byte = name.data[i];
		if (byte == 0)
			return "holds a NUL byte";
		if (byte < 0x20 || byte == 0x7f)
			return "holds a control byte";
		if (byte == '.' && before == '.')
			return "has an empty label";
		out[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
		before = byte;
	}
	out[name.len] = '\0';
	return before == '.' ? "has an empty label" : NULL;
}

static const char error_address[] = "is an IP address";

static struct span without_final_dot(struct span raw)
{
	return span_of(raw.data, raw.len - (raw.len > 0 && raw.data[raw.len - 1] == '.'));
}

const char *server_name_parse(struct span raw, struct server_name *out)
{
	out->len = 0;
	out->text[0] = '\0';
	if (raw.len == 0)
		return "is empty";
	struct span name = without_final_dot(raw);
	if (name.len > SERVER_NAME_MAX)
		return "is longer than 253 bytes";
	const char *error = is_ip(name) ? error_address : copy_labels(name, out->text);
	if (error)
		out->text[0] = '\0';
	else
		out->len = (uint8_t)name.len;
	return error;
}

/* Written as an address is, and nothing else: what is_ip only refuses, for safety, is not one here. */
static bool is_address(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return false;
	if (text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']')
		return is_ipv6(span_of(text.data + 1, text.len - 2));
	return is_ipv4(text) || is_ipv6(text);
}

const char *server_name_parse_sni(struct span raw, struct server_name *out)
{
	const char *error = server_name_parse(raw, out);
	return error == error_address && is_address(without_final_dot(raw)) ? NULL : error;
}

static bool is_wildcard(struct span raw)
{
	return raw.len >= 1 && raw.data[0] == '*' && (raw.len == 1 || raw.data[1] == '.');
}

const char *server_name_parse_pattern(struct span raw, struct server_name *out)
{
	const char *error = server_name_parse(raw, out);
	size_t own = is_wildcard(raw) ? 1 : 0;
	if (!error && memchr(out->text + own, '*', out->len - own)) {
		error = "has a \"*\" that is not the whole first label";
		out->len = 0;
		out->text[0] = '\0';
	}
	return error;
}

bool server_name_covered(const struct server_name *pattern, const struct server_name *name)
{
	struct span ours = span_of(name->text, name->len);
	struct span theirs = span_of(pattern->text, pattern->len);
	if (name->len == 0)
		return false;
	if (theirs.len < 3 || memcmp(theirs.data, "*.", 2) != 0)
		return span_equal(ours, theirs);
	const uint8_t *dot = memchr(ours.data, '.', ours.len);
	if (!dot)
		return false;
	size_t label = (size_t)(dot - ours.data);
	return span_equal(span_of(dot, ours.len - label), span_of(theirs.data + 1, theirs.len - 1));
}
