#include "wire/proxy_header.h"
#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t v1_signature[6] = "PROXY ";
static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum {
	V1_MIN = 15, /* "PROXY UNKNOWN" CRLF */
	V2_HEADER = 16,
	V2_LOCAL = 0x20,
	V2_PROXY = 0x21,
	V2_INET = 1,
	V2_INET6 = 2,
	V2_UNIX = 3,
	V2_STREAM = 1,
	V2_INET_SIZE = 12,
	V2_INET6_SIZE = 36,
	V2_UNIX_SIZE = 216,
	TLV_HEADER = 3,
	TLV_CRC32C = 0x03,
	CLIENT_SSL = 0x01,
	CLIENT_CERT_CONN = 0x02,
	CLIENT_CERT_SESS = 0x04,
};

static enum proxy_verdict header_fail(struct proxy_header *header, const char *error)
{
	header->error = error;
	return PROXY_WRONG;
}

/* ---- version 1: one line of text (section 2.1) ---- */

/* A field of the line up to the byte that ends it, or as much of it as has arrived. */
struct field {
	struct span text;
	bool is_whole;
};

static struct field take_field(struct span *line, uint8_t end)
{
	const uint8_t *at = line->len ? memchr(line->data, end, line->len) : NULL;
	struct field field = {*line, at != NULL};
	if (at)
		field.text.len = (size_t)(at - line->data);
	size_t taken = field.text.len + field.is_whole;
	*line = span_of(line->data + taken, line->len - taken);
	return field;
}

static bool read_address(int family, struct span text, const char *ending, void *out)
{
	char copy[INET6_ADDRSTRLEN + 16];
	if (text.len >= INET6_ADDRSTRLEN)
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (strlen(copy) != text.len)
		return false;
	strcpy(copy + text.len, ending);
	return inet_pton(family, copy, out) == 1;
}

/* Some ending makes it an address: these suffice for every beginning of one. */
static bool begins_address(int family, struct span text)
{
	static const char *const end_reasons[] = {
		"", "0", ":", "::", "0.0.0.0", "0.0.0", ".0.0.0", "0.0", ".0.0", ".0"};
	struct in6_addr ignored;
	for (size_t i = 0; i < sizeof(end_reasons) / sizeof(end_reasons[0]); i++)
		if (read_address(family, text, end_reasons[i], &ignored))
			return true;
	return false;
}

static enum proxy_verdict v1_address(
	struct span *line, int family, void *out, struct proxy_header *header)
{
	struct field field = take_field(line, ' ');
	if (field.is_whole && read_address(family, field.text, "", out))
		return PROXY_WHOLE;
	if (!field.is_whole && begins_address(family, field.text))
		return PROXY_MORE;
	return header_fail(header, "an address is not of its family's form");
}

/* Decimal without leading zeros. The beginning of a port is a port. */
static enum proxy_verdict v1_port(
	struct span *line, uint8_t end, in_port_t *out, struct proxy_header *header)
{
	struct field field = take_field(line, end);
	struct span text = field.text;
	unsigned value = 0;
	bool is_good = text.len <= 5 && (text.len > 0 || !field.is_whole);
	for (size_t i = 0; is_good && i < text.len; i++) {
		is_good = text.data[i] >= '0' && text.data[i] <= '9' &&
			!(text.len > 1 && text.data[0] == '0');
		value = value * 10 + (unsigned)(text.data[i] - '0');
	}
	if (!is_good || value > 65535)
		return header_fail(header, "a port is not a decimal number up to 65535");
	*out = htons((uint16_t)value);
	return field.is_whole ? PROXY_WHOLE : PROXY_MORE;
}

/* The CR was taken with the field before. */
static enum proxy_verdict v1_end(struct span line, struct proxy_header *header)
{
	if (line.len == 0)
		return PROXY_MORE;
	if (line.data[0] != '\n')
		return header_fail(header, "the line does not end in CRLF");
	return PROXY_WHOLE;
}

static enum proxy_verdict v1_ip(struct span line, int family, struct proxy_header *header)
{
	bool v4 = family == AF_INET;
	void *source = v4 ? (void *)&header->source.v4.sin_addr : &header->source.v6.sin6_addr;
	void *destination =
		v4 ? (void *)&header->destination.v4.sin_addr : &header->destination.v6.sin6_addr;
	/* The port is at the same place in both (RFC 3493 section 3.3). */
	in_port_t *ports[2] = {&header->source.v4.sin_port, &header->destination.v4.sin_port};
	header->source.any.sa_family = header->destination.any.sa_family = (sa_family_t)family;
	enum proxy_verdict verdict = v1_address(&line, family, source, header);
	if (verdict == PROXY_WHOLE)
		verdict = v1_address(&line, family, destination, header);
	if (verdict == PROXY_WHOLE)
		verdict = v1_port(&line, ' ', ports[0], header);
	if (verdict == PROXY_WHOLE)
		verdict = v1_port(&line, '\r', ports[1], header);
	return verdict == PROXY_WHOLE ? v1_end(line, header) : verdict;
}

/* What follows UNKNOWN means nothing, but is no place to hide control bytes in. */
static enum proxy_verdict v1_unknown(struct span line, struct proxy_header *header)
{
	struct field field = take_field(&line, '\r');
	if (field.text.len > 0 && field.text.data[0] != ' ')
		return header_fail(header, "the protocol is none of TCP4, TCP6 and UNKNOWN");
	for (size_t i = 0; i < field.text.len; i++)
		if (field.text.data[i] < 0x20 || field.text.data[i] > 0x7e)
			return header_fail(header, "the line holds a byte that is not text");
	header->local = true;
	return field.is_whole ? v1_end(line, header) : PROXY_MORE;
}

/*
 * Takes `word` off the line; PROXY_MORE when the line ends within it, PROXY_NONE
 * when it differs.
 */
static enum proxy_verdict take_word(struct span *line, const char *word)
{
	size_t len = strlen(word), have = line->len < len ? line->len : len;
	if (have > 0 && memcmp(line->data, word, have) != 0)
		return PROXY_NONE;
	if (have < len)
		return PROXY_MORE;
	*line = span_of(line->data + len, line->len - len);
	return PROXY_WHOLE;
}

static enum proxy_verdict v1_protocol(struct span line, struct proxy_header *header)
{
	enum proxy_verdict v4 = take_word(&line, "TCP4 ");
	if (v4 == PROXY_WHOLE)
		return v1_ip(line, AF_INET, header);
	enum proxy_verdict v6 = take_word(&line, "TCP6 ");
	if (v6 == PROXY_WHOLE)
		return v1_ip(line, AF_INET6, header);
	enum proxy_verdict unknown = take_word(&line, "UNKNOWN");
	if (unknown == PROXY_WHOLE)
		return v1_unknown(line, header);
	if (v4 == PROXY_MORE || v6 == PROXY_MORE || unknown == PROXY_MORE)
		return PROXY_MORE;
	return header_fail(header, "the protocol is none of TCP4, TCP6 and UNKNOWN");
}

static enum proxy_verdict parse_v1(struct span bytes, struct proxy_header *header)
{
	struct span line = bytes;
	if (line.len > PROXY_V1_MAX)
		line.len = PROXY_V1_MAX;
	header->version = 1;
	bool ends_in_cr = line.data[line.len - 1] == '\r';
	size_t want = line.len + (ends_in_cr ? 1 : 2);
	line = span_of(line.data + sizeof(v1_signature), line.len - sizeof(v1_signature));
	enum proxy_verdict verdict = v1_protocol(line, header);
	if (verdict == PROXY_MORE && want > PROXY_V1_MAX)
		return header_fail(header, "the line is longer than 107 bytes");
	/* No field holds a LF: the first one ends the line. */
	const uint8_t *end = memchr(bytes.data, '\n', bytes.len);
	if (verdict == PROXY_WHOLE)
		header->len = (size_t)(end - bytes.data) + 1;
	header->want = want < V1_MIN ? V1_MIN : want;
	return verdict;
}

/* ---- version 2: binary (section 2.2) ---- */

bool proxy_tlv_next(struct span *tlvs, unsigned *type, struct span *value)
{
	return span_take_u8(tlvs, type) && span_take_vector16(tlvs, value);
}

/* Castagnoli's polynomial (RFC 3720 appendix B.4), four bits at a time. */
static uint32_t crc32c(uint32_t crc, struct span bytes)
{
	static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6,
		0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
	for (size_t i = 0; i < bytes.len; i++) {
		crc ^= bytes.data[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

/* Section 2.2.3: the sum over the whole header, with zeros in its own place. */
static bool is_crc_right(struct span whole, struct span sum)
{
	static const uint8_t zeros[4];
	size_t before = (size_t)(sum.data - whole.data);
	uint32_t crc = crc32c(0xffffffff, span_of(whole.data, before));
	crc = ~crc32c(
		crc32c(crc, span_of(zeros, 4)), span_of(sum.data + 4, whole.len - before - 4));
	uint32_t declared = (uint32_t)sum.data[0] << 24 | (uint32_t)sum.data[1] << 16 |
		(uint32_t)sum.data[2] << 8 | sum.data[3];
	return crc == declared;
}

static enum proxy_verdict check_tlvs(struct span whole, struct proxy_header *header)
{
	struct span rest = header->tlvs, value, sum = {NULL, 0};
	unsigned type;
	while (rest.len > 0) {
		if (!proxy_tlv_next(&rest, &type, &value))
			return header_fail(header, "a TLV is longer than the header");
		if (type != TLV_CRC32C)
			continue;
		if (value.len != 4 || sum.data)
			return header_fail(header, "the CRC32C is not one TLV of four bytes");
		sum = value;
	}
	if (sum.data && !is_crc_right(whole, sum))
		return header_fail(header, "the CRC32C is wrong");
	return PROXY_WHOLE;
}

static void v2_inet(struct span *block, struct proxy_header *header)
{
	struct sockaddr_in *source = &header->source.v4, *destination = &header->destination.v4;
	source->sin_family = destination->sin_family = AF_INET;
	memcpy(&source->sin_addr, block->data, 4);
	memcpy(&destination->sin_addr, block->data + 4, 4);
	memcpy(&source->sin_port, block->data + 8, 2);
	memcpy(&destination->sin_port, block->data + 10, 2);
}

static void v2_inet6(struct span *block, struct proxy_header *header)
{
	struct sockaddr_in6 *source = &header->source.v6, *destination = &header->destination.v6;
	source->sin6_family = destination->sin6_family = AF_INET6;
	memcpy(&source->sin6_addr, block->data, 16);
	memcpy(&destination->sin6_addr, block->data + 16, 16);
	memcpy(&source->sin6_port, block->data + 32, 2);
	memcpy(&destination->sin6_port, block->data + 34, 2);
}

/* The prefix is valid and everything that it declares has arrived. */
static enum proxy_verdict parse_v2_block(struct span whole, struct proxy_header *header)
{
	static const size_t sizes[] = {0, V2_INET_SIZE, V2_INET6_SIZE, V2_UNIX_SIZE};
	unsigned family = whole.data[13] >> 4;
	struct span block = span_of(whole.data + V2_HEADER, whole.len - V2_HEADER), addresses;
	header->len = whole.len;
	/* The receiver of LOCAL or UNSPEC discards what follows: its layout is not known. */
	header->local = whole.data[12] == V2_LOCAL || family == 0;
	if (header->local)
		return PROXY_WHOLE;
	if (!span_take(&block, sizes[family], &addresses))
		return header_fail(
			header, "the header is too short for the addresses of its family");
	header->tlvs = block;
	header->local = family == V2_UNIX;
	if (family == V2_INET)
		v2_inet(&addresses, header);
	else if (family == V2_INET6)
		v2_inet6(&addresses, header);
	return check_tlvs(whole, header);
}

/* Each byte of the prefix as soon as it is there. */
static enum proxy_verdict parse_v2(struct span bytes, struct proxy_header *header)
{
	header->version = 2;
	header->want = V2_HEADER;
	if (bytes.len > 12 && bytes.data[12] >> 4 != 2)
		return header_fail(header, "the version is not 2");
	if (bytes.len > 12 && bytes.data[12] != V2_LOCAL && bytes.data[12] != V2_PROXY)
		return header_fail(header, "the command is neither LOCAL nor PROXY");
	/* 0x00 is UNSPEC; else one of three families over a stream or datagrams. */
	if (bytes.len > 13 && bytes.data[12] == V2_PROXY && bytes.data[13] != 0) {
		unsigned family = bytes.data[13] >> 4, transport = bytes.data[13] & 15;
		if (family < V2_INET || family > V2_UNIX || transport < 1 || transport > 2)
			return header_fail(header, "the address family or transport is unknown");
	}
	if (bytes.len < V2_HEADER)
		return PROXY_MORE;
	header->want = V2_HEADER + ((size_t)bytes.data[14] << 8 | bytes.data[15]);
	if (bytes.len < header->want)
		return PROXY_MORE;
	return parse_v2_block(span_of(bytes.data, header->want), header);
}

static enum proxy_verdict parse_any_version(struct span bytes, struct proxy_header *header)
{
	size_t v1 = bytes.len < sizeof(v1_signature) ? bytes.len : sizeof(v1_signature);
	size_t v2 = bytes.len < sizeof(v2_signature) ? bytes.len : sizeof(v2_signature);
	if (bytes.len == 0 || memcmp(bytes.data, v1_signature, v1) == 0) {
		if (v1 == sizeof(v1_signature))
			return parse_v1(bytes, header);
		header->want = bytes.len == 0 ? 1 : V1_MIN;
		return PROXY_MORE;
	}
	if (memcmp(bytes.data, v2_signature, v2) != 0)
		return PROXY_NONE;
	if (v2 == sizeof(v2_signature))
		return parse_v2(bytes, header);
	header->want = V2_HEADER;
	return PROXY_MORE;
}

enum proxy_verdict proxy_header_parse(struct span bytes, struct proxy_header *header)
{
	memset(header, 0, sizeof(*header));
	enum proxy_verdict verdict = parse_any_version(bytes, header);
	if (verdict == PROXY_WHOLE) {
		header->want = 0;
		return verdict;
	}
	struct proxy_header result = {.want = verdict == PROXY_MORE ? header->want : 0};
	result.error = header->error;
	*header = result;
	return verdict;
}

/* ---- both, written ---- */

/* The two ends in one family; len 0 when they cannot be expressed. */
struct ends {
	unsigned len; /* 0, 4 or 16 bytes an address */
	uint8_t source[16], destination[16];
	uint16_t source_port, destination_port; /* in network order */
};

static bool ends_read(const struct sockaddr *from, struct in6_addr *address, uint16_t *port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (from && from->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
		memcpy(address->s6_addr, mapped, 12);
		memcpy(address->s6_addr + 12, &v4->sin_addr, 4);
		*port = v4->sin_port;
		return true;
	}
	if (from && from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
		*address = v6->sin6_addr;
		*port = v6->sin6_port;
		return true;
	}
	return false;
}

/* A dual-stack listener sees v4 peers as v6-mapped ones: they are sent as v4. */
static struct ends ends_of(const struct proxy_info *info)
{
	struct ends ends = {0};
	struct in6_addr source, destination;
	if (!ends_read(info->source, &source, &ends.source_port) ||
		!ends_read(info->destination, &destination, &ends.destination_port))
		return ends;
	bool v4 = IN6_IS_ADDR_V4MAPPED(&source) && IN6_IS_ADDR_V4MAPPED(&destination);
	ends.len = v4 ? 4 : 16;
	memcpy(ends.source, source.s6_addr + 16 - ends.len, ends.len);
	memcpy(ends.destination, destination.s6_addr + 16 - ends.len, ends.len);
	return ends;
}

size_t proxy_v1_encode(const struct proxy_info *info, uint8_t *out, size_t size)
{
	struct ends ends = ends_of(info);
	char line[PROXY_V1_MAX + 1], source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	int family = ends.len == 4 ? AF_INET : AF_INET6;
	int len;
	if (ends.len == 0) {
		len = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	} else {
		inet_ntop(family, ends.source, source, sizeof(source));
		inet_ntop(family, ends.destination, destination, sizeof(destination));
		len = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n",
			family == AF_INET ? '4' : '6', source, destination,
			(unsigned)ntohs(ends.source_port), (unsigned)ntohs(ends.destination_port));
	}
	if (len < 0 || (size_t)len > PROXY_V1_MAX || (size_t)len > size)
		return 0;
	memcpy(out, line, (size_t)len);
	return (size_t)len;
}

/* Counts on when there is no room, so that the end can see it. */
struct writer {
	uint8_t *out;
	size_t size, len;
};

static void writer_put(struct writer *writer, const void *data, size_t len)
{
	if (len > 0 && writer->len <= writer->size && len <= writer->size - writer->len)
		memcpy(writer->out + writer->len, data, len);
	writer->len += len;
}

static void writer_put_tlv_header(struct writer *writer, enum proxy_tlv type, size_t len)
{
	writer_put(writer, (const uint8_t[]){(uint8_t)type, (uint8_t)(len >> 8), (uint8_t)len},
		TLV_HEADER);
}

static void writer_put_tlv(struct writer *writer, enum proxy_tlv type, struct span value)
{
	if (value.len == 0)
		return;
	writer_put_tlv_header(writer, type, value.len);
	writer_put(writer, value.data, value.len);
}

static struct span text_span(const char *text)
{
	return text ? span_of_string(text) : span_of(NULL, 0);
}

static size_t tlv_size(struct span value)
{
	return value.len ? TLV_HEADER + value.len : 0;
}

/* Section 2.2.6. `verify` is zero for a certificate that was verified, and only then. */
static void writer_put_ssl(struct writer *writer, const struct proxy_info *info)
{
	struct span version = text_span(info->tls_version), cipher = text_span(info->cipher);
	struct span name = info->client_cert ? info->common_name : span_of(NULL, 0);
	uint8_t client = CLIENT_SSL | (info->client_cert ? CLIENT_CERT_CONN | CLIENT_CERT_SESS : 0);
	uint8_t fixed[5] = {client, 0, 0, 0, info->client_cert ? 0 : 1};
	writer_put_tlv_header(writer, PROXY_TLV_SSL,
		sizeof(fixed) + tlv_size(version) + tlv_size(cipher) + tlv_size(name));
	writer_put(writer, fixed, sizeof(fixed));
	writer_put_tlv(writer, PROXY_TLV_SSL_VERSION, version);
	writer_put_tlv(writer, PROXY_TLV_SSL_CIPHER, cipher);
	writer_put_tlv(writer, PROXY_TLV_SSL_CN, name);
}

static void writer_put_block(
	struct writer *writer, const struct ends *ends, const struct proxy_info *info)
{
	writer_put(writer, ends->source, ends->len);
	writer_put(writer, ends->destination, ends->len);
	writer_put(writer, &ends->source_port, 2);
	writer_put(writer, &ends->destination_port, 2);
	writer_put_tlv(writer, PROXY_TLV_ALPN, info->alpn);
	writer_put_tlv(writer, PROXY_TLV_AUTHORITY, info->authority);
	if (info->tls)
		writer_put_ssl(writer, info);
}

size_t proxy_v2_encode(const struct proxy_info *info, uint8_t *out, size_t size)
{
	struct ends ends = ends_of(info);
	struct writer writer = {out, size, 0};
	unsigned family = ends.len == 0 ? 0 : ends.len == 4 ? V2_INET : V2_INET6;
	uint8_t prefix[4] = {
		family ? V2_PROXY : V2_LOCAL, (uint8_t)(family ? family << 4 | V2_STREAM : 0)};
	writer_put(&writer, v2_signature, sizeof(v2_signature));
	writer_put(&writer, prefix, sizeof(prefix));
	if (family) /* a receiver discards what follows LOCAL */
		writer_put_block(&writer, &ends, info);
	if (writer.len > size || writer.len > PROXY_HEADER_MAX)
		return 0;
	size_t len = writer.len - V2_HEADER;
	out[14] = (uint8_t)(len >> 8);
	out[15] = (uint8_t)len;
	return writer.len;
}
