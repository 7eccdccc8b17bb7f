/*
 * A stream of any bytes: every verdict but MORE is final, a whole hello needs what `want` said, its
 * spans lie inside the input, and the same message in records of k bytes gives the same answer.
 */
#include "wire/client_hello.h"
#include <stdlib.h>

#define CHECK(claim)                                                                               \
	do {                                                                                       \
		if (!(claim))                                                                      \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct answer {
	enum hello_verdict verdict;
	struct client_hello hello;
};

static bool is_inside(struct span inner, const uint8_t *data, size_t len)
{
	return inner.data >= data && inner.data + inner.len <= data + len;
}

static void check_whole(const struct client_hello *hello, size_t len)
{
	struct server_name again;
	struct span list = hello->alpn, id;
	char text[ALPN_TEXT_MAX];
	CHECK(hello->wire_len > 0 && hello->wire_len <= len);
	CHECK(hello->wire_len <= CLIENT_HELLO_MAX);
	CHECK(!hello->error && hello->want == 0);
	CHECK(!hello->sni_error || hello->sni.len == 0);
	CHECK(!hello->sni_is_address || (!hello->sni_error && hello->sni.len == 0));
	CHECK(strlen(hello->sni.text) == hello->sni.len);
	if (hello->sni.len > 0) {
		CHECK(!server_name_parse(span_of(hello->sni.text, hello->sni.len), &again));
		CHECK(strcmp(again.text, hello->sni.text) == 0);
	}
	CHECK(!hello->alpn_error || list.len == 0);
	while (alpn_next(&list, &id)) {
		CHECK(id.len > 0 && is_inside(id, hello->alpn.data, hello->alpn.len));
		alpn_text(id, text, sizeof(text));
		CHECK(strlen(text) >= id.len);
	}
	CHECK(list.len == 0);
	CHECK(hello->version_min <= hello->version_max && hello->version_max <= 0x0304);
}

static struct answer ask(struct span wire, uint8_t *joined)
{
	struct answer answer;
	/* An exact copy, so that the sanitizer sees a read past its end. */
	uint8_t *copy = malloc(wire.len ? wire.len : 1);
	CHECK(copy);
	if (wire.len > 0)
		memcpy(copy, wire.data, wire.len);
	answer.verdict = client_hello_parse(span_of(copy, wire.len), joined, &answer.hello);
	struct client_hello *hello = &answer.hello;
	if (answer.verdict == HELLO_WHOLE) {
		check_whole(hello, wire.len);
		CHECK(hello->alpn.len == 0 || is_inside(hello->alpn, copy, wire.len) ||
			is_inside(hello->alpn, joined, CLIENT_HELLO_MAX));
		if (hello->alpn.len > 0 && is_inside(hello->alpn, copy, wire.len))
			hello->alpn.data = wire.data + (hello->alpn.data - copy);
	} else if (answer.verdict == HELLO_MORE) {
		CHECK(hello->want > wire.len && hello->want <= CLIENT_HELLO_MAX && !hello->error);
	} else {
		CHECK(hello->error && hello->want == 0 && hello->sni.len == 0);
	}
	free(copy);
	return answer;
}

static void check_same(const struct client_hello *a, const struct client_hello *b)
{
	CHECK(strcmp(a->sni.text, b->sni.text) == 0);
	CHECK(a->sni_error == b->sni_error && a->alpn_error == b->alpn_error);
	CHECK(span_equal(a->alpn, b->alpn));
	CHECK(a->version_min == b->version_min && a->version_max == b->version_max);
}

/* At most some hundred prefixes, so that long inputs do not stop the fuzzer. */
static void check_prefixes(struct span wire, const struct answer *whole, uint8_t *joined)
{
	size_t step = 1 + wire.len / 300;
	for (size_t len = 0; len < wire.len; len += step) {
		struct answer part = ask(span_of(wire.data, len), joined);
		if (part.verdict == HELLO_MORE) {
			CHECK(whole->verdict != HELLO_WHOLE ||
				part.hello.want <= whole->hello.wire_len);
			continue;
		}
		CHECK(part.verdict == whole->verdict);
		CHECK(part.hello.error == whole->hello.error);
		CHECK(part.hello.wire_len == whole->hello.wire_len);
	}
}

/*
 * The handshake bytes of sound records up to the end of the message; 0 when they do
 * not reach it.
 */
static size_t join(struct span wire, uint8_t *message)
{
	size_t len = 0, want = 4;
	unsigned type, version, size;
	struct span fragment;
	while (len < want) {
		if (!span_take_u8(&wire, &type) || !span_take_u16(&wire, &version) ||
			!span_take_u16(&wire, &size) || type != 22 || version >> 8 != 3 ||
			size == 0 || size > 16384 || !span_take(&wire, size, &fragment))
			return 0;
		memcpy(message + len, fragment.data, fragment.len);
		len += fragment.len;
		if (len >= 4)
			want = 4 +
				((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
	}
	return want;
}

static struct span split(const uint8_t *message, size_t len, size_t k, uint8_t *out)
{
	size_t at = 0;
	for (size_t from = 0; from < len; from += k) {
		size_t part = len - from < k ? len - from : k;
		const uint8_t header[5] = {22, 3, (uint8_t)k, (uint8_t)(part >> 8), (uint8_t)part};
		memcpy(out + at, header, 5);
		memcpy(out + at + 5, message + from, part);
		at += 5 + part;
	}
	return span_of(out, at);
}

static void check_resplit(struct span wire, const struct answer *whole, uint8_t *joined)
{
	static const size_t sizes[] = {1, 2, 3, 7, 100, 16384};
	uint8_t *message = malloc(wire.len + 1), *again = malloc(6 * wire.len + 1);
	CHECK(message && again);
	size_t len = join(wire, message);
	for (size_t i = 0; len > 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct span records = split(message, len, sizes[i], again);
		struct answer answer = ask(records, joined);
		CHECK(answer.verdict != HELLO_MORE && answer.verdict != HELLO_NOT_TLS);
		if (records.len > CLIENT_HELLO_MAX || whole->verdict == HELLO_TOO_LARGE)
			continue;
		CHECK(answer.verdict == whole->verdict);
		if (answer.verdict == HELLO_WHOLE)
			check_same(&answer.hello, &whole->hello);
	}
	free(message);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *first = malloc(CLIENT_HELLO_MAX), *joined = malloc(CLIENT_HELLO_MAX);
	CHECK(first && joined);
	struct span wire = span_of(data, len);
	struct answer whole = ask(wire, first);
	check_prefixes(wire, &whole, joined);
	check_resplit(wire, &whole, joined);
	free(first);
	free(joined);
	return 0;
}
