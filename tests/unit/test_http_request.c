/* Heads of requests, and first bytes of what is not TLS: at every split, and what is refused. */
#include "wire/http_request.h"

#include "wire/plaintext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h> /* needs those before it */

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TEXT(literal)                                                                              \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}

/* In memory of its own, so that a sanitizer sees a read past the end. */
static enum http_verdict parse_copy(struct span bytes, struct http_request *out)
{
	uint8_t *copy = malloc(bytes.len + !bytes.len);
	assert_non_null(copy);
	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	enum http_verdict verdict = http_request_parse(span_of(copy, bytes.len), out);
	free(copy);
	return verdict;
}

static enum plaintext look_copy(struct span bytes)
{
	uint8_t *copy = malloc(bytes.len + !bytes.len);
	assert_non_null(copy);
	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	enum plaintext what = plaintext_look(span_of(copy, bytes.len));
	free(copy);
	return what;
}

struct valid {
	struct span head;
	const char *host, *port, *target;
	bool is_head;
};

static const struct valid valid[] = {
	{TEXT("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), "a.test", "", "/", false},
	{TEXT("HEAD /x?y=z HTTP/1.1\r\nX: y\r\nhOST:\t A.test:8443 \r\n\r\n"), "A.test", "8443",
		"/x?y=z", true},
	{TEXT("GET / HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n"), "192.0.2.1", "", "/", false},
	{TEXT("M-SEARCH / HTTP/1.1\r\nHost: [2001:db8::1]\r\nEmpty:\r\n\r\n"), "[2001:db8::1]", "",
		"/", false},
	{TEXT("GET / HTTP/1.1\r\nHost: [::ffff:192.0.2.1]:1\r\n\r\n"), "[::ffff:192.0.2.1]", "1",
		"/", false},
	{TEXT("GET http://b.test:80/p HTTP/1.1\r\nHost: a.test:9\r\n\r\n"), "b.test", "80", "/p",
		false},
	{TEXT("GET HTTP://b.test?q HTTP/1.0\r\n\r\n"), "b.test", "", "?q", false},
	{TEXT("GET https://[::1] HTTP/1.1\r\nHost: x\r\n\r\n"), "[::1]", "", "", false},
	{TEXT("GET //b.test/ HTTP/1.1\r\nHost: a.test:\r\n\r\n"), "a.test", "", "//b.test/", false},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\tz\r\n\r\n"), "a", "", "/", false},
};

static void assert_span(struct span span, const char *text)
{
	assert_int_equal(span.len, strlen(text));
	assert_memory_equal(span.data ? span.data : (const uint8_t *)"", text, span.len);
}

static void valid_heads_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++) {
		struct http_request request;
		assert_int_equal(http_request_parse(valid[i].head, &request), HTTP_WHOLE);
		assert_span(request.host, valid[i].host);
		assert_span(request.port, valid[i].port);
		assert_span(request.target, valid[i].target);
		assert_int_equal(request.is_head, valid[i].is_head);
		assert_int_equal(request.len, valid[i].head.len);
	}
}

static void a_part_is_no_head(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++)
		for (size_t len = 0; len < valid[i].head.len; len++) {
			struct http_request request;
			assert_int_equal(
				parse_copy(span_of(valid[i].head.data, len), &request), HTTP_MORE);
		}
}

static void what_follows_is_not_read(void **state)
{
	(void)state;
	static const char bytes[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n\0\n";
	struct http_request request;
	assert_int_equal(http_request_parse(span_of(bytes, sizeof bytes), &request), HTTP_WHOLE);
	assert_int_equal(request.len, sizeof bytes - 3);
}

struct invalid {
	struct span head;
	unsigned status;
	const char *error;
};

#define LINE_END   "a line does not end with CR LF"
#define CONTROL    "a line holds a control character"
#define NO_HOST    "there is no Host field"
#define BAD_HOST   "the Host field is not valid"
#define BAD_NAME   "a header line does not begin with a name"
#define NO_METHOD  "the request line does not begin with a method"
#define NO_VERSION "the request line does not end with a version"
#define BAD_TARGET "the target is neither a path nor a URL of http"

static const struct invalid invalid[] = {
	{TEXT("GET / HTTP/1.1\n"), 400, LINE_END},
	{TEXT("GET / HTTP/1.1\r\nHost: a\rX"), 400, LINE_END},
	{TEXT("GET / HTTP/1.1\r\r"), 400, LINE_END},
	{TEXT("GET /\0"), 400, CONTROL},
	{TEXT("GET / HTTP/1.1\r\nHost: a\0"), 400, CONTROL},
	{TEXT("GET /\x7f"), 400, CONTROL},
	{TEXT("GET / HTTP/1.1\r\nX: \x1b"), 400, CONTROL},
	{TEXT("GET /\t HTTP/1.1\r\n"), 400, "the target holds a byte that has no place there"},
	{TEXT("GET /\xc3\xa4 HTTP/1.1\r\n"), 400,
		"the target holds a byte that has no place there"},
	{TEXT("GET /#x HTTP/1.1\r\n"), 400, "the target holds a byte that has no place there"},
	{TEXT("\r\n"), 400, NO_METHOD},
	{TEXT(" / HTTP/1.1\r\n"), 400, NO_METHOD},
	{TEXT("G(T / HTTP/1.1\r\n"), 400, NO_METHOD},
	{TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n"), 400, NO_METHOD},
	{TEXT("GET /\r\n"), 400, NO_VERSION},
	{TEXT("GET / HTTP/1.1 \r\n"), 400, NO_VERSION},
	{TEXT("GET  / HTTP/1.1\r\n"), 400, BAD_TARGET},
	{TEXT("GET / http/1.1\r\n"), 400, NO_VERSION},
	{TEXT("GET / HTTP/2.0\r\n"), 505, "the version is not HTTP/1"},
	{TEXT("GET / HTTP/1.x\r\n"), 505, "the version is not HTTP/1"},
	{TEXT("OPTIONS * HTTP/1.1\r\n"), 400, BAD_TARGET},
	{TEXT("CONNECT a.test:443 HTTP/1.1\r\n"), 400, BAD_TARGET},
	{TEXT("GET ftp://a.test/ HTTP/1.1\r\n"), 400, BAD_TARGET},
	{TEXT("GET http:/// HTTP/1.1\r\n"), 400, "the host in the target is not valid"},
	{TEXT("GET http://u@a.test/ HTTP/1.1\r\n"), 400, "the host in the target is not valid"},
	{TEXT("GET / HTTP/1.1\r\n\r\n"), 400, NO_HOST},
	{TEXT("GET / HTTP/1.0\r\n\r\n"), 400, NO_HOST},
	{TEXT("GET http://a.test/ HTTP/1.1\r\n\r\n"), 400, NO_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n"), 400, "there are two Host fields"},
	{TEXT("GET / HTTP/1.1\r\nHost:\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: a b\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: .a\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: a:b\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: a:123456\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: []\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: [::1]x\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\nHost: a\x80\r\n"), 400, BAD_HOST},
	{TEXT("GET / HTTP/1.1\r\n folded\r\n"), 400, BAD_NAME},
	{TEXT("GET / HTTP/1.1\r\nHost : a\r\n"), 400, BAD_NAME},
	{TEXT("GET / HTTP/1.1\r\nHost\r\n"), 400, BAD_NAME},
	{TEXT("GET / HTTP/1.1\r\n: x\r\n"), 400, BAD_NAME},
};

/* With the last byte, and not before; and for the same reason whatever follows. */
static void what_is_wrong_is_refused_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++) {
		struct span head = invalid[i].head;
		struct http_request request;
		uint8_t longer[256];
		assert_int_equal(parse_copy(head, &request), HTTP_BAD);
		assert_int_equal(request.status, invalid[i].status);
		assert_string_equal(request.error, invalid[i].error);
		assert_int_equal(parse_copy(span_of(head.data, head.len - 1), &request), HTTP_MORE);
		memcpy(longer, head.data, head.len);
		memcpy(longer + head.len, "\0\r\n\r\n", 5);
		assert_int_equal(parse_copy(span_of(longer, head.len + 5), &request), HTTP_BAD);
		assert_string_equal(request.error, invalid[i].error);
	}
}

static size_t write_long(char *out, size_t target, size_t value)
{
	int used = sprintf(out, "GET /%0*d HTTP/1.1\r\nHost: a\r\n", (int)target, 0);
	if (value > 0)
		used += sprintf(out + used, "X: %0*d\r\n", (int)value, 0);
	return (size_t)used + (size_t)sprintf(out + used, "\r\n");
}

static void lengths_have_limits(void **state)
{
	(void)state;
	static char text[3 * HTTP_HEAD_MAX];
	struct http_request request;
	size_t line = HTTP_LINE_MAX - strlen("GET / HTTP/1.1\r\n");
	size_t len = write_long(text, line, 0);
	assert_int_equal(parse_copy(span_of(text, len), &request), HTTP_WHOLE);
	len = write_long(text, line + 1, 0);
	assert_int_equal(parse_copy(span_of(text, len), &request), HTTP_BAD);
	assert_int_equal(request.status, 414);
	assert_int_equal(parse_copy(span_of(text, HTTP_LINE_MAX), &request), HTTP_BAD);
	assert_int_equal(request.status, 414);
	assert_int_equal(parse_copy(span_of(text, HTTP_LINE_MAX - 1), &request), HTTP_MORE);
	size_t rest = write_long(text, 1, 1) - 1;
	len = write_long(text, 1, HTTP_HEAD_MAX - rest);
	assert_int_equal(len, HTTP_HEAD_MAX);
	assert_int_equal(parse_copy(span_of(text, len), &request), HTTP_WHOLE);
	len = write_long(text, 1, HTTP_HEAD_MAX - rest + 1);
	assert_int_equal(parse_copy(span_of(text, len), &request), HTTP_BAD);
	assert_int_equal(request.status, 431);
	assert_int_equal(parse_copy(span_of(text, HTTP_HEAD_MAX), &request), HTTP_BAD);
	assert_int_equal(request.status, 431);
	assert_int_equal(parse_copy(span_of(text, HTTP_HEAD_MAX - 1), &request), HTTP_MORE);
}

static const struct {
	struct span bytes;
	enum plaintext what;
} first_bytes[] = {
	{TEXT("SSH-"), PLAINTEXT_SSH},
	{TEXT("GET / HTTP/1.1\r\n"), PLAINTEXT_HTTP},
	{TEXT("get /\0 HTTP/1.0\n"), PLAINTEXT_HTTP},
	{TEXT("SSH / HTTP/1.1\n"), PLAINTEXT_HTTP},
	{TEXT("GET / HTTP/2.0\n"), PLAINTEXT_HTTP},
	{TEXT("PRI * HTTP/2.0\r\n"), PLAINTEXT_HTTP2},
	{TEXT("EHLO a.test\r\n"), PLAINTEXT_OTHER},
	{TEXT("GET /\r\n"), PLAINTEXT_OTHER},
	{TEXT("HTTP/"), PLAINTEXT_OTHER},
	{TEXT("QUIT\r"), PLAINTEXT_OTHER},
	{TEXT(" "), PLAINTEXT_OTHER},
	{TEXT("\0"), PLAINTEXT_OTHER},
	{TEXT("\r"), PLAINTEXT_OTHER},
	{TEXT("\x80"), PLAINTEXT_OTHER},
	{TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), PLAINTEXT_OTHER},
};

static void first_bytes_tell(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(first_bytes); i++) {
		struct span bytes = first_bytes[i].bytes;
		uint8_t longer[64];
		assert_int_equal(look_copy(bytes), first_bytes[i].what);
		for (size_t len = 0; len < bytes.len; len++)
			assert_int_equal(look_copy(span_of(bytes.data, len)), PLAINTEXT_MORE);
		memcpy(longer, bytes.data, bytes.len);
		memcpy(longer + bytes.len, "\n HTTP/1.1\n", 11);
		assert_int_equal(look_copy(span_of(longer, bytes.len + 11)), first_bytes[i].what);
	}
}

static void a_long_line_is_http(void **state)
{
	(void)state;
	static char text[HTTP_LINE_MAX + 2];
	sprintf(text, "GET /%0*d\n", HTTP_LINE_MAX - 5, 0);
	assert_int_equal(look_copy(span_of(text, HTTP_LINE_MAX - 1)), PLAINTEXT_MORE);
	assert_int_equal(look_copy(span_of(text, HTTP_LINE_MAX)), PLAINTEXT_HTTP);
	assert_int_equal(look_copy(span_of(text, HTTP_LINE_MAX + 1)), PLAINTEXT_HTTP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_heads_are_read),
		cmocka_unit_test(a_part_is_no_head),
		cmocka_unit_test(what_follows_is_not_read),
		cmocka_unit_test(what_is_wrong_is_refused_at_once),
		cmocka_unit_test(lengths_have_limits),
		cmocka_unit_test(first_bytes_tell),
		cmocka_unit_test(a_long_line_is_http),
	};
	return cmocka_run_group_tests_name("http_request", tests, NULL, NULL);
}
