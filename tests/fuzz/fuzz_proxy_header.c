/*
 * Any bytes as a PROXY header: every verdict but MORE is final, spans lie inside, and what was read
 * is read again from what the encoders make of it.
 */
#include "wire/proxy_header.h"
#include <stdlib.h>

#define CHECK(claim)                                                                               \
	do {                                                                                       \
		if (!(claim))                                                                      \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_tlvs(const struct proxy_header *header, const uint8_t *data)
{
	struct span rest = header->tlvs, value;
	unsigned type;
	if (rest.len == 0)
		return;
	CHECK(rest.data >= data + 16 && rest.data + rest.len == data + header->len);
	while (proxy_tlv_next(&rest, &type, &value))
		CHECK(value.data >= header->tlvs.data && value.data + value.len <= rest.data);
	CHECK(rest.len == 0);
}

static enum proxy_verdict ask(const uint8_t *data, size_t len, struct proxy_header *header)
{
	/* An exact copy, so that the sanitizer sees a read past its end. */
	uint8_t *copy = malloc(len ? len : 1);
	CHECK(copy);
	if (len > 0)
		memcpy(copy, data, len);
	enum proxy_verdict verdict = proxy_header_parse(span_of(copy, len), header);
	CHECK((verdict == PROXY_MORE) == (header->want > len));
	CHECK((verdict == PROXY_WRONG) == (header->error != NULL));
	CHECK((verdict == PROXY_WHOLE) == (header->len > 0));
	CHECK(header->len <= len && header->want <= PROXY_HEADER_MAX);
	if (verdict == PROXY_WHOLE)
		check_tlvs(header, copy);
	free(copy);
	return verdict;
}

static void check_prefixes(
	const uint8_t *data, size_t len, enum proxy_verdict whole, size_t header_len)
{
	size_t step = 1 + len / 300;
	for (size_t part = 0; part < len; part += step) {
		struct proxy_header header;
		enum proxy_verdict verdict = ask(data, part, &header);
		CHECK(verdict == PROXY_MORE || verdict == whole);
		CHECK(verdict != PROXY_WHOLE || header.len == header_len);
		CHECK(verdict != PROXY_MORE || whole != PROXY_WHOLE || header.want <= header_len);
	}
}

/* v6-mapped pairs come back as v4 ones, all else as it was. */
static bool is_same_end(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a, *b6 = (const void *)b;
	if (a4->sin_port != b4->sin_port)
		return false;
	if (a->sa_family == AF_INET)
		return b->sa_family == AF_INET && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	if (b->sa_family == AF_INET6)
		return memcmp(&a6->sin6_addr, &b6->sin6_addr, 16) == 0;
	return IN6_IS_ADDR_V4MAPPED(&a6->sin6_addr) &&
		memcmp(a6->sin6_addr.s6_addr + 12, &b4->sin_addr, 4) == 0;
}

static void check_same(
	const struct proxy_header *header, const uint8_t *out, size_t len, int version)
{
	struct proxy_header again;
	CHECK(len > 0);
	CHECK(ask(out, len, &again) == PROXY_WHOLE);
	CHECK(again.len == len && again.version == version && again.local == header->local);
	if (!header->local) {
		CHECK(is_same_end(&header->source.any, &again.source.any));
		CHECK(is_same_end(&header->destination.any, &again.destination.any));
	}
}

static void check_told(const struct proxy_header *header, const uint8_t *data, size_t len)
{
	static uint8_t out[PROXY_HEADER_MAX];
	size_t part = len < 200 ? len : 200;
	struct proxy_info told = {
		.source = header->local ? NULL : &header->source.any,
		.destination = header->local ? NULL : &header->destination.any,
		.alpn = span_of(data, part / 2),
		.authority = span_of(data, part),
		.tls = len & 1,
		.client_cert = len & 2,
		.tls_version = len & 4 ? "TLSv1.3" : NULL,
		.cipher = "TLS_AES_128_GCM_SHA256",
		.common_name = span_of(data, part / 3),
	};
	size_t made = proxy_v1_encode(&told, out, PROXY_V1_MAX);
	check_same(header, out, made, 1);
	made = proxy_v2_encode(&told, out, sizeof(out));
	check_same(header, out, made, 2);
	CHECK(made <= 1024 + told.authority.len + told.alpn.len + told.common_name.len);
	CHECK(proxy_v2_encode(&told, out, made - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct proxy_header header;
	enum proxy_verdict verdict = ask(data, len, &header);
	check_prefixes(data, len, verdict, header.len);
	if (verdict == PROXY_WHOLE)
		check_told(&header, data, len);
	return 0;
}
