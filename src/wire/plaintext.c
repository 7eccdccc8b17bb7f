#include "wire/plaintext.h"

#include "wire/http_request.h"

static const char ssh[] = "SSH-";

/* Bytes of a method at the beginning. */
static size_t method_len(struct span heard)
{
	size_t len = 0;
	while (len < heard.len && len <= HTTP_METHOD_MAX && http_is_token(heard.data[len]))
		len++;
	return len;
}

/* A line that begins with a method, without its end. */
static enum plaintext look_at_line(struct span line)
{
	static const char pri[] = "PRI * HTTP/2.0";
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (span_equal(line, span_of_string(pri)))
		return PLAINTEXT_HTTP2;
	const char *end = line.len > 9 ? (const char *)line.data + line.len - 9 : "";
	bool is_http = strncmp(end, " HTTP/", 6) == 0 && end[7] == '.';
	return is_http ? PLAINTEXT_HTTP : PLAINTEXT_OTHER;
}

static enum plaintext look_for_http(struct span heard)
{
	size_t method = method_len(heard);
	if (method > HTTP_METHOD_MAX)
		return PLAINTEXT_OTHER;
	if (method == heard.len)
		return PLAINTEXT_MORE;
	if (method == 0 || heard.data[method] != ' ')
		return PLAINTEXT_OTHER;
	size_t seen = heard.len < HTTP_LINE_MAX ? heard.len : HTTP_LINE_MAX;
	const uint8_t *end = memchr(heard.data, '\n', seen);
	if (end)
		return look_at_line(span_of(heard.data, (size_t)(end - heard.data)));
	return heard.len < HTTP_LINE_MAX ? PLAINTEXT_MORE : PLAINTEXT_HTTP;
}

enum plaintext plaintext_look(struct span heard)
{
	size_t len = heard.len < strlen(ssh) ? heard.len : strlen(ssh);
	if (len == 0)
		return PLAINTEXT_MORE;
	if (memcmp(heard.data, ssh, len) == 0)
		return len < strlen(ssh) ? PLAINTEXT_MORE : PLAINTEXT_SSH;
	return look_for_http(heard);
}
