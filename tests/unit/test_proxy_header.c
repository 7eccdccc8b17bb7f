/* PROXY headers: what is taken and refused at every split, and what is told to a backend. */
#include "wire/proxy_header.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h> /* needs those before it */

#define SIGNATURE      "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(literal) span_of((literal), sizeof(literal) - 1)

/* From a block of exactly this size, so that the sanitizer sees a read past its end. */
static enum proxy_verdict ask(struct span bytes, struct proxy_header *header)
{
	uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
	assert_non_null(copy);
	if (bytes.len)
		memcpy(copy, bytes.data, bytes.len);
	enum proxy_verdict verdict = proxy_header_parse(span_of(copy, bytes.len), header);
	if (header->tlvs.data)
		header->tlvs.data = bytes.data + (header->tlvs.data - copy);
	free(copy);
	return verdict;
}

/* Before its end a sound header is MORE; whatever follows changes nothing. */
static void assert_whole(struct span bytes, struct proxy_header *header)
{
	for (size_t len = 0; len < bytes.len; len++) {
		assert_int_equal(ask(span_of(bytes.data, len), header), PROXY_MORE);
		assert_true(header->want > len && header->want <= bytes.len);
	}
	uint8_t *more = malloc(bytes.len + 3);
	memcpy(more, bytes.data, bytes.len);
	memcpy(more + bytes.len, "\x16\x03\x01", 3);
	assert_int_equal(ask(span_of(more, bytes.len + 3), header), PROXY_WHOLE);
	assert_int_equal(header->len, bytes.len);
	free(more);
	assert_int_equal(ask(bytes, header), PROXY_WHOLE);
	assert_int_equal(header->len, bytes.len);
}

/* The first `sound` bytes are a prefix of a header, one more is not, and it stays so. */
static void assert_wrong_after(struct span bytes, size_t sound)
{
	struct proxy_header header;
	for (size_t len = 0; len <= bytes.len; len++) {
		enum proxy_verdict verdict = ask(span_of(bytes.data, len), &header);
		assert_int_equal(verdict, len <= sound ? PROXY_MORE : PROXY_WRONG);
		assert_int_equal(header.error != NULL, len > sound);
	}
}

static void assert_end(const struct sockaddr *end, const char *address, unsigned port)
{
	char text[INET6_ADDRSTRLEN];
	const void *raw = end->sa_family == AF_INET
		? (const void *)&((const struct sockaddr_in *)end)->sin_addr
		: &((const struct sockaddr_in6 *)end)->sin6_addr;
	assert_non_null(inet_ntop(end->sa_family, raw, text, sizeof(text)));
	assert_string_equal(text, address);
	assert_int_equal(ntohs(((const struct sockaddr_in *)end)->sin_port), port);
}

/* ---- version 1 ---- */

static void reads_tcp4_lines(void **state)
{
	(void)state;
	struct proxy_header header;
	assert_whole(BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"), &header);
	assert_int_equal(header.version, 1);
	assert_false(header.local);
	assert_end(&header.source.any, "192.0.2.1", 56324);
	assert_end(&header.destination.any, "198.51.100.7", 443);
	assert_whole(BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), &header);
	assert_whole(BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), &header);
}

static void reads_tcp6_lines(void **state)
{
	(void)state;
	struct proxy_header header;
	assert_whole(BYTES("PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 65535\r\n"), &header);
	assert_end(&header.source.any, "2001:db8::1", 1);
	assert_end(&header.destination.any, "::ffff:192.0.2.1", 65535);
	assert_whole(BYTES("PROXY TCP6 :: 1:2:3:4:5:6:7:8 1 2\r\n"), &header);
	assert_whole(BYTES("PROXY TCP6 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1 2\r\n"), &header);
	assert_whole(BYTES("PROXY TCP6 1:2:3:4:5:6:1.2.3.4 FE80::1 1 2\r\n"), &header);
	assert_whole(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
			   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		&header);
}

static void reads_unknown_lines(void **state)
{
	(void)state;
	struct proxy_header header;
	char longest[PROXY_V1_MAX + 2];
	assert_whole(BYTES("PROXY UNKNOWN\r\n"), &header);
	assert_true(header.local);
	assert_whole(BYTES("PROXY UNKNOWN ffff::1 anything 1 2\r\n"), &header);
	snprintf(longest, sizeof(longest), "PROXY UNKNOWN%92s\r\n", "");
	assert_int_equal(strlen(longest), PROXY_V1_MAX);
	assert_whole(span_of_string(longest), &header);
	snprintf(longest, sizeof(longest), "PROXY UNKNOWN%93s\r\n", "");
	assert_wrong_after(span_of_string(longest), PROXY_V1_MAX - 2);
}

static void refuses_crooked_lines_at_once(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		size_t sound;
	} wrong[] = {
		{"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", 6},
		{"PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n", 6},
		{"PROXY TCP5 ", 9},
		{"PROXY UNKNOWNS\r\n", 13},
		{"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", 11},
		{"PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", 19},
		{"PROXY TCP4 1.1.1.1 2.2.2.2  1 2\r\n", 27},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 1  2\r\n", 29},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", 30},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", 30},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n", 31},
		{"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", 16},
		{"PROXY TCP4 1.1.1.1.1 2.2.2.2 1 2\r\n", 18},
		{"PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n", 13},
		{"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", 12},
		{"PROXY TCP4 ::1 ::2 1 2\r\n", 11},
		{"PROXY TCP4 1.1.1.1\t2.2.2.2 1 2\r\n", 18},
		{"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", 12},
		{"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::2 1 2\r\n", 26},
		{"PROXY TCP6 1::2::3 ::2 1 2\r\n", 16},
		{"PROXY TCP6 fe80::1%1 ::2 1 2\r\n", 18},
		{"PROXY TCP6 12345:: ::2 1 2\r\n", 15},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", 28},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n", 31},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n", 27},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 1 +2\r\n", 29},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n", 29},
		{"PROXY UNKNOWN \x01\r\n", 14},
		{"PROXY UNKNOWN a\nb\r\n", 15},
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_wrong_after(span_of_string(wrong[i].line), wrong[i].sound);
	assert_wrong_after(BYTES("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n"), 18);
}

static void tells_other_beginnings(void **state)
{
	(void)state;
	struct proxy_header header;
	assert_int_equal(ask(BYTES(""), &header), PROXY_MORE);
	assert_int_equal(header.want, 1);
	assert_int_equal(ask(BYTES("\x16\x03\x01"), &header), PROXY_NONE);
	assert_int_equal(ask(BYTES("PROXX"), &header), PROXY_NONE);
	assert_int_equal(ask(BYTES("PROXY\r\n"), &header), PROXY_NONE);
	assert_int_equal(ask(BYTES("proxy "), &header), PROXY_NONE);
	assert_int_equal(ask(BYTES("\r\n\r\n\r"), &header), PROXY_NONE);
	assert_int_equal(ask(BYTES("GET / HTTP/1.1\r\n\r\n"), &header), PROXY_NONE);
}

/* ---- version 2 ---- */

#define V4_ENDS "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"

static void reads_v4_headers(void **state)
{
	(void)state;
	struct proxy_header header;
	assert_whole(BYTES(SIGNATURE "\x21\x11\0\x0c" V4_ENDS), &header);
	assert_int_equal(header.version, 2);
	assert_false(header.local);
	assert_int_equal(header.tlvs.len, 0);
	assert_end(&header.source.any, "192.0.2.1", 56324);
	assert_end(&header.destination.any, "198.51.100.7", 443);
}

static void reads_v6_headers(void **state)
{
	(void)state;
	struct proxy_header header;
	assert_whole(BYTES(SIGNATURE "\x21\x21\0\x24"
				     "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
				     "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
				     "\x00\x07\xff\xff"),
		&header);
	assert_end(&header.source.any, "2001:db8::1", 7);
	assert_end(&header.destination.any, "2001:db8::2", 65535);
}

static void lets_local_stand_for_itself(void **state)
{
	(void)state;
	struct proxy_header header;
	uint8_t unix_ends[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/a";
	assert_whole(BYTES(SIGNATURE "\x20\0\0\0"), &header);
	assert_true(header.local);
	assert_whole(BYTES(SIGNATURE "\x20\x11\0\x0c" V4_ENDS), &header);
	assert_true(header.local);
	assert_whole(BYTES(SIGNATURE "\x20\xff\0\3abc"), &header); /* all of it is discarded */
	assert_true(header.local);
	assert_whole(BYTES(SIGNATURE "\x21\0\0\3abc"), &header);
	assert_true(header.local);
	assert_int_equal(header.tlvs.len, 0);
	assert_whole(span_of(unix_ends, sizeof(unix_ends)), &header);
	assert_true(header.local);
}

static void refuses_crooked_headers_at_once(void **state)
{
	(void)state;
	assert_wrong_after(BYTES(SIGNATURE "\x11\x11\0\x0c" V4_ENDS), 12);
	assert_wrong_after(BYTES(SIGNATURE "\x31\x11\0\x0c" V4_ENDS), 12);
	assert_wrong_after(BYTES(SIGNATURE "\x22\x11\0\x0c" V4_ENDS), 12);
	assert_wrong_after(BYTES(SIGNATURE "\x21\x10\0\x0c" V4_ENDS), 13);
	assert_wrong_after(BYTES(SIGNATURE "\x21\x13\0\x0c" V4_ENDS), 13);
	assert_wrong_after(BYTES(SIGNATURE "\x21\x01\0\x0c" V4_ENDS), 13);
	assert_wrong_after(BYTES(SIGNATURE "\x21\x41\0\x0c" V4_ENDS), 13);
	/* What hangs on lengths is judged when the header is all there. */
	assert_wrong_after(BYTES(SIGNATURE "\x21\x11\0\x0b" V4_ENDS), 26);
	assert_wrong_after(BYTES(SIGNATURE "\x21\x21\0\x0c" V4_ENDS), 27);
	assert_wrong_after(BYTES(SIGNATURE "\x21\x11\0\x0d" V4_ENDS "\4"), 28);
	assert_wrong_after(BYTES(SIGNATURE "\x21\x11\0\x10" V4_ENDS "\4\0\2a"), 31);
}

static void walks_tlvs(void **state)
{
	(void)state;
	struct proxy_header header;
	struct span value;
	unsigned type;
	assert_whole(BYTES(SIGNATURE "\x21\x11\0\x17" V4_ENDS "\1\0\2h2\4\0\0\xea\0\0"), &header);
	assert_true(proxy_tlv_next(&header.tlvs, &type, &value));
	assert_int_equal(type, PROXY_TLV_ALPN);
	assert_true(span_equal(value, span_of_string("h2")));
	assert_true(proxy_tlv_next(&header.tlvs, &type, &value));
	assert_true(proxy_tlv_next(&header.tlvs, &type, &value));
	assert_int_equal(type, 0xea);
	assert_false(proxy_tlv_next(&header.tlvs, &type, &value));
}

static void verifies_crc32c(void **state)
{
	(void)state;
	struct proxy_header header;
	uint8_t sound[] = SIGNATURE "\x21\x11\0\x18" V4_ENDS "\4\0\2\0\0\3\0\4CRC!";
	size_t len = sizeof(sound) - 1;
	memcpy(sound + len - 4, "\xbb\x40\x50\x94", 4);
	assert_whole(span_of(sound, len), &header);
	for (size_t at = 16; at < len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			sound[at] ^= (uint8_t)(1u << bit);
			if (at != 16 + 12 + 5) /* else it is another TLV */
				assert_int_equal(ask(span_of(sound, len), &header), PROXY_WRONG);
			sound[at] ^= (uint8_t)(1u << bit);
		}
	assert_wrong_after(BYTES(SIGNATURE "\x21\x11\0\x12" V4_ENDS "\3\0\3abc"), 33);
	/* Two of them, the second right. */
	assert_wrong_after(
		BYTES(SIGNATURE "\x21\x11\0\x1a" V4_ENDS "\3\0\4abcd\3\0\4\x87\x37\xa1\x4c"), 41);
}

/* ---- telling a backend ---- */

static struct sockaddr_in v4_of(const char *address, unsigned port)
{
	struct sockaddr_in end = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	assert_int_equal(inet_pton(AF_INET, address, &end.sin_addr), 1);
	return end;
}

static struct sockaddr_in6 v6_of(const char *address, unsigned port)
{
	struct sockaddr_in6 end = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	assert_int_equal(inet_pton(AF_INET6, address, &end.sin6_addr), 1);
	return end;
}

static void assert_line(const void *source, const void *destination, const char *line)
{
	uint8_t out[PROXY_V1_MAX];
	struct proxy_info told = {.source = source, .destination = destination};
	size_t len = proxy_v1_encode(&told, out, sizeof(out));
	assert_int_equal(len, strlen(line));
	assert_memory_equal(out, line, len);
	assert_int_equal(proxy_v1_encode(&told, out, len), len);
	assert_int_equal(proxy_v1_encode(&told, out, len - 1), 0);
}

static void tells_lines(void **state)
{
	(void)state;
	struct sockaddr_in v4 = v4_of("192.0.2.1", 56324);
	struct sockaddr_in6 v6 = v6_of("2001:db8::1", 443), mapped = v6_of("::ffff:10.0.0.1", 1);
	struct sockaddr other = {.sa_family = AF_UNIX};
	assert_line(&v4, &v4, "PROXY TCP4 192.0.2.1 192.0.2.1 56324 56324\r\n");
	assert_line(&v6, &v6, "PROXY TCP6 2001:db8::1 2001:db8::1 443 443\r\n");
	assert_line(&mapped, &mapped, "PROXY TCP4 10.0.0.1 10.0.0.1 1 1\r\n");
	assert_line(&mapped, &v4, "PROXY TCP4 10.0.0.1 192.0.2.1 1 56324\r\n");
	assert_line(&v4, &v6, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 56324 443\r\n");
	assert_line(NULL, &v4, "PROXY UNKNOWN\r\n");
	assert_line(&v4, &other, "PROXY UNKNOWN\r\n");
}

static void tells_headers(void **state)
{
	(void)state;
	uint8_t out[1024];
	struct sockaddr_in source = v4_of("192.0.2.1", 56324), to = v4_of("198.51.100.7", 443);
	struct proxy_info told = {.source = (struct sockaddr *)&source};
	struct span local = BYTES(SIGNATURE "\x20\0\0\0");
	assert_int_equal(proxy_v2_encode(&told, out, sizeof(out)), 16);
	assert_memory_equal(out, local.data, 16);
	told.destination = (struct sockaddr *)&to;
	struct span plain = BYTES(SIGNATURE "\x21\x11\0\x0c" V4_ENDS);
	assert_int_equal(proxy_v2_encode(&told, out, sizeof(out)), plain.len);
	assert_memory_equal(out, plain.data, plain.len);
	assert_int_equal(proxy_v2_encode(&told, out, plain.len - 1), 0);
	assert_int_equal(proxy_v2_encode(&told, out, 3), 0);
}

static void tells_about_tls(void **state)
{
	(void)state;
	uint8_t out[1024];
	struct sockaddr_in source = v4_of("192.0.2.1", 56324), to = v4_of("198.51.100.7", 443);
	struct proxy_info told = {(struct sockaddr *)&source, (struct sockaddr *)&to,
		span_of_string("app.test"), span_of_string("h2"), true, true, "TLSv1.3", "X",
		span_of_string("ann")};
	struct span expected = BYTES(SIGNATURE "\x21\x11\0\x38" V4_ENDS "\1\0\2h2\2\0\x08"
					       "app.test\x20\0\x19\7\0\0\0\0\x21\0\7TLSv1.3"
					       "\x23\0\1X\x22\0\3ann");
	struct proxy_header header;
	assert_int_equal(proxy_v2_encode(&told, out, sizeof(out)), expected.len);
	assert_memory_equal(out, expected.data, expected.len);
	assert_whole(expected, &header);
	for (size_t size = 0; size < expected.len; size++)
		assert_int_equal(proxy_v2_encode(&told, out, size), 0);

	told.client_cert = false; /* no name without a certificate; verify is not 0 */
	expected = BYTES(SIGNATURE "\x21\x11\0\x32" V4_ENDS "\1\0\2h2\2\0\x08"
				   "app.test\x20\0\x13\1\0\0\0\1\x21\0\7TLSv1.3\x23\0\1X");
	assert_int_equal(proxy_v2_encode(&told, out, sizeof(out)), expected.len);
	assert_memory_equal(out, expected.data, expected.len);
}

static void tells_no_more_than_fits_its_length(void **state)
{
	(void)state;
	static uint8_t out[2 * PROXY_HEADER_MAX], name[70000];
	struct sockaddr_in end = v4_of("192.0.2.1", 1);
	struct proxy_info told = {.source = (struct sockaddr *)&end,
		.destination = (struct sockaddr *)&end,
		.authority = span_of(name, 65535 - 12 - 3)};
	assert_int_equal(proxy_v2_encode(&told, out, sizeof(out)), PROXY_HEADER_MAX);
	told.authority.len++;
	assert_int_equal(proxy_v2_encode(&told, out, sizeof(out)), 0);
	told.authority.len = sizeof(name);
	assert_int_equal(proxy_v2_encode(&told, out, sizeof(out)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_tcp4_lines),
		cmocka_unit_test(reads_tcp6_lines),
		cmocka_unit_test(reads_unknown_lines),
		cmocka_unit_test(refuses_crooked_lines_at_once),
		cmocka_unit_test(tells_other_beginnings),
		cmocka_unit_test(reads_v4_headers),
		cmocka_unit_test(reads_v6_headers),
		cmocka_unit_test(lets_local_stand_for_itself),
		cmocka_unit_test(refuses_crooked_headers_at_once),
		cmocka_unit_test(walks_tlvs),
		cmocka_unit_test(verifies_crc32c),
		cmocka_unit_test(tells_lines),
		cmocka_unit_test(tells_headers),
		cmocka_unit_test(tells_about_tls),
		cmocka_unit_test(tells_no_more_than_fits_its_length),
	};
	return cmocka_run_group_tests_name("proxy_header", tests, NULL, NULL);
}
