/*
 * Any bytes as an HTTP request, and as what is not TLS: a verdict other than MORE stays for every longer input, what
 * is lent lies inside the input, and what the redirect repeats holds no byte that could end a line.
 */
#include "wire/http_request.h"
#include "wire/plaintext.h"

#include <stdlib.h>

#define CHECK(claim)                                                                               \
	do {                                                                                       \
		if (!(claim))                                                                      \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_repeated(struct span text, struct span input)
{
	CHECK(text.len == 0 ||
		(text.data >= input.data && text.data + text.len <= input.data + input.len));
	for (size_t i = 0; i < text.len; i++)
		CHECK(text.data[i] > ' ' && text.data[i] < 0x7f);
}

static void check_request(const struct http_request *request, struct span input)
{
	CHECK(request->host.len > 0 && request->host.len <= 255 && request->port.len <= 5);
	CHECK(request->len <= input.len && request->len <= HTTP_HEAD_MAX);
	check_repeated(request->host, input);
	check_repeated(request->port, input);
	check_repeated(request->target, input);
}

static void check_prefix(
	struct span part, enum http_verdict whole, const char *error, enum plaintext what)
{
	struct http_request request;
	enum http_verdict verdict = http_request_parse(part, &request);
	CHECK(verdict == HTTP_MORE || (verdict == whole && request.error == error));
	enum plaintext look = plaintext_look(part);
	CHECK(look == PLAINTEXT_MORE || look == what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len + !len);
	CHECK(copy);
	if (len > 0)
		memcpy(copy, data, len);
	struct span input = span_of(copy, len);
	struct http_request request;
	enum http_verdict verdict = http_request_parse(input, &request);
	if (verdict == HTTP_WHOLE)
		check_request(&request, input);
	CHECK((verdict == HTTP_BAD) == (request.error != NULL));
	CHECK(verdict != HTTP_MORE || len < HTTP_HEAD_MAX);
	CHECK(plaintext_look(input) != PLAINTEXT_MORE || len < HTTP_LINE_MAX);
	for (size_t part = 0; part < len; part += 1 + len / 200)
		check_prefix(span_of(copy, part), verdict, request.error, plaintext_look(input));
	free(copy);
	return 0;
}
