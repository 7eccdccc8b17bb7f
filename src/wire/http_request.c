#include "wire/http_request.h"

#include <arpa/inet.h>
#include <strings.h>

#define NAME_MAX_LEN 255 /* of a host */

/* What is known of the lines so far. */
struct head {
	struct http_request *out;
	bool has_line;    /* the request line */
	bool is_absolute; /* its target has a host */
	bool needs_field; /* HTTP/1.1: Host has to be there */
	bool has_field;
};

static enum http_verdict request_fail(struct http_request *out, unsigned status, const char *error)
{
	out->status = status;
	out->error = error;
	return HTTP_BAD;
}

static bool is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

static bool is_alnum(uint8_t byte)
{
	return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

bool http_is_token(uint8_t byte)
{
	return byte && (is_alnum(byte) || strchr("!#$%&'*+-.^_`|~", byte));
}

static bool has_prefix(struct span text, const char *prefix)
{
	size_t len = strlen(prefix);
	return text.len >= len && strncasecmp((const char *)text.data, prefix, len) == 0;
}

/* Up to `end`, which is taken as well; false: it is not there. */
static bool take_until(struct span *cursor, uint8_t end, struct span *out)
{
	const uint8_t *at = cursor->len > 0 ? memchr(cursor->data, end, cursor->len) : NULL;
	struct span ignored;
	if (!at)
		return false;
	span_take(cursor, (size_t)(at - cursor->data), out);
	return span_take(cursor, 1, &ignored);
}

static bool is_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!is_alnum(name.data[i]) && !memchr("-._", name.data[i], 3))
			return false;
	return name.len > 0 && name.len <= NAME_MAX_LEN && name.data[0] != '.';
}

static bool is_port(struct span port)
{
	for (size_t i = 0; i < port.len; i++)
		if (!is_digit(port.data[i]))
			return false;
	return port.len <= 5;
}

/* "[2001:db8::1]"; no zone, which means nothing to others. */
static bool take_literal(struct span *cursor, struct span *host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ignored;
	struct span all = *cursor, inside;
	if (!take_until(cursor, ']', &inside) || inside.len > sizeof text)
		return false;
	memcpy(text, inside.data + 1, inside.len - 1);
	text[inside.len - 1] = '\0';
	*host = span_of(all.data, inside.len + 1);
	return !memchr(text, 0, inside.len - 1) && inet_pton(AF_INET6, text, &ignored) == 1;
}

/* uri-host and port (RFC 9110 section 7.2); no user. */
static bool parse_authority(struct span text, struct span *host, struct span *port)
{
	struct span all = text;
	*port = span_of(NULL, 0);
	if (text.len > 0 && text.data[0] == '[') {
		if (!take_literal(&text, host))
			return false;
		if (text.len == 0)
			return true;
		*port = span_of(text.data + 1, text.len - 1);
		return text.data[0] == ':' && is_port(*port);
	}
	if (take_until(&text, ':', host))
		*port = text;
	else
		*host = all;
	return is_name(*host) && is_port(*port);
}

/* What follows the authority of an absolute target. */
static size_t authority_len(struct span text)
{
	size_t len = 0;
	while (len < text.len && text.data[len] != '/' && text.data[len] != '?')
		len++;
	return len;
}

static const char *parse_target(struct span target, struct http_request *out)
{
	for (size_t i = 0; i < target.len; i++)
		if (target.data[i] <= ' ' || target.data[i] >= 0x7f || target.data[i] == '#')
			return "the target holds a byte that has no place there";
	out->target = target;
	if (target.len > 0 && target.data[0] == '/')
		return NULL;
	size_t scheme = has_prefix(target, "http://") ? 7 : has_prefix(target, "https://") ? 8 : 0;
	if (scheme == 0)
		return "the target is neither a path nor a URL of http";
	struct span rest = span_of(target.data + scheme, target.len - scheme);
	size_t len = authority_len(rest);
	out->target = span_of(rest.data + len, rest.len - len);
	return parse_authority(span_of(rest.data, len), &out->host, &out->port)
		? NULL
		: "the host in the target is not valid";
}

static enum http_verdict parse_version(struct span version, struct head *head)
{
	struct http_request *out = head->out;
	if (version.len != 8 || memcmp(version.data, "HTTP/", 5) != 0)
		return request_fail(out, 400, "the request line does not end with a version");
	if (memcmp(version.data, "HTTP/1.", 7) != 0 || !is_digit(version.data[7]))
		return request_fail(out, 505, "the version is not HTTP/1");
	head->needs_field = version.data[7] != '0';
	return HTTP_MORE;
}

static bool is_token(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!http_is_token(text.data[i]))
			return false;
	return text.len > 0;
}

static enum http_verdict parse_request_line(struct span line, struct head *head)
{
	struct http_request *out = head->out;
	struct span method, target;
	if (!take_until(&line, ' ', &method) || method.len > HTTP_METHOD_MAX || !is_token(method))
		return request_fail(out, 400, "the request line does not begin with a method");
	out->is_head = span_equal(method, span_of("HEAD", 4));
	if (!take_until(&line, ' ', &target))
		return request_fail(out, 400, "the request line does not end with a version");
	const char *error = parse_target(target, out);
	if (error)
		return request_fail(out, 400, error);
	head->is_absolute = out->host.len > 0;
	return parse_version(line, head);
}

static struct span trim(struct span text)
{
	while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
		text = span_of(text.data + 1, text.len - 1);
	while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static enum http_verdict parse_host(struct span value, struct head *head)
{
	struct http_request *out = head->out;
	struct span host, port;
	if (head->has_field)
		return request_fail(out, 400, "there are two Host fields");
	head->has_field = true;
	if (!parse_authority(value, &host, &port))
		return request_fail(out, 400, "the Host field is not valid");
	if (head->is_absolute) /* its host goes before (RFC 9112 section 3.2.2) */
		return HTTP_MORE;
	out->host = host;
	out->port = port;
	return HTTP_MORE;
}

/* No line is continued (RFC 9112 section 5.2), and no space precedes the colon. */
static enum http_verdict parse_field(struct span line, struct head *head)
{
	struct span name;
	if (!take_until(&line, ':', &name) || !is_token(name))
		return request_fail(head->out, 400, "a header line does not begin with a name");
	bool is_host = name.len == 4 && has_prefix(name, "host");
	return is_host ? parse_host(trim(line), head) : HTTP_MORE;
}

static enum http_verdict end_head(struct head *head)
{
	bool is_missing = head->needs_field ? !head->has_field : head->out->host.len == 0;
	if (is_missing)
		return request_fail(head->out, 400, "there is no Host field");
	return HTTP_WHOLE;
}

/* A line without its CR LF; HTTP_MORE: there is another one. */
static enum http_verdict parse_line(struct span line, struct head *head)
{
	bool is_first = !head->has_line;
	head->has_line = true;
	if (is_first)
		return parse_request_line(line, head);
	return line.len > 0 ? parse_field(line, head) : end_head(head);
}

/* Of a line with its end, or its beginning: what is wrong with a byte; NULL: nothing. */
static const char *check_bytes(struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		uint8_t byte = line.data[i];
		bool is_behind_cr = i > 0 && line.data[i - 1] == '\r';
		if ((byte == '\n') != is_behind_cr)
			return "a line does not end with CR LF";
		if ((byte < ' ' && byte != '\t' && byte != '\r' && byte != '\n') || byte == 0x7f)
			return "a line holds a control character";
	}
	return NULL;
}

/* `line`: with its end, or what there is of it. */
static enum http_verdict read_line(struct span line, struct head *head)
{
	bool is_first = !head->has_line;
	bool has_end = line.len > 0 && line.data[line.len - 1] == '\n';
	bool is_long =
		is_first && (line.len > HTTP_LINE_MAX || (!has_end && line.len == HTTP_LINE_MAX));
	if (is_first && line.len > HTTP_LINE_MAX)
		line.len = HTTP_LINE_MAX;
	const char *error = check_bytes(line);
	if (error)
		return request_fail(head->out, 400, error);
	if (is_long)
		return request_fail(head->out, 414, "the request line is longer than 8 KiB");
	if (!has_end)
		return HTTP_MORE;
	return parse_line(span_of(line.data, line.len - 2), head);
}

static size_t line_len(struct span heard)
{
	const uint8_t *end = heard.len > 0 ? memchr(heard.data, '\n', heard.len) : NULL;
	return end ? (size_t)(end - heard.data) + 1 : heard.len;
}

enum http_verdict http_request_parse(struct span heard, struct http_request *out)
{
	struct head head = {.out = out};
	struct span rest =
		span_of(heard.data, heard.len < HTTP_HEAD_MAX ? heard.len : HTTP_HEAD_MAX);
	*out = (struct http_request){0};
	while (rest.len > 0) {
		struct span line = span_of(rest.data, line_len(rest));
		rest = span_of(rest.data + line.len, rest.len - line.len);
		enum http_verdict verdict = read_line(line, &head);
		if (verdict == HTTP_WHOLE)
			out->len = (size_t)(rest.data - heard.data);
		if (verdict != HTTP_MORE)
			return verdict;
	}
	if (heard.len >= HTTP_HEAD_MAX)
		return request_fail(out, 431, "the header is longer than 16 KiB");
	return HTTP_MORE;
}

const char *http_reason_phrase(unsigned status)
{
	switch (status) {
	case 308:
		return "Permanent Redirect";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}
