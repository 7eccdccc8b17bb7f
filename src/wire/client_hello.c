#include "wire/client_hello.h"

enum {
	RECORD_HEADER = 5,
	RECORD_MAX = 16384,
	RECORD_HANDSHAKE = 22,
	MESSAGE_HEADER = 4,
	MESSAGE_CLIENT_HELLO = 1,
	RANDOM_SIZE = 32,
	SESSION_ID_MAX = 32,
	/* Version, random, and three vectors that may be empty as far as their lengths go. */
	BODY_MIN = 2 + RANDOM_SIZE + 1 + 2 + 1,
	EXTENSION_HEADER = 4,
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_ALPN = 16,
	EXTENSION_PRE_SHARED_KEY = 41,
	EXTENSION_SUPPORTED_VERSIONS = 43,
	TLS_1_0 = 0x0301,
	TLS_1_2 = 0x0303,
	TLS_1_3 = 0x0304,
};

static enum hello_verdict hello_fail(
	struct client_hello *hello, enum hello_verdict verdict, const char *error)
{
	hello->error = error;
	return verdict;
}

/*
 * A cursor over a body of which only the front may have arrived. What does not fit in the declared
 * `rest` is broken, whatever arrives later; what has not arrived yet is more. The first failure stays,
 * and later reads return zeros.
 */
struct reader {
	struct span have;
	size_t rest; /* >= have.len */
	enum hello_verdict verdict;
};

static struct span read_bytes(struct reader *reader, size_t len)
{
	struct span out = span_of(NULL, 0);
	if (reader->verdict != HELLO_WHOLE)
		return out;
	if (len > reader->rest)
		reader->verdict = HELLO_BROKEN;
	else if (!span_take(&reader->have, len, &out))
		reader->verdict = HELLO_MORE;
	else
		reader->rest -= len;
	return out;
}

static unsigned read_u8(struct reader *reader)
{
	struct span byte = read_bytes(reader, 1);
	return byte.len ? byte.data[0] : 0;
}

static unsigned read_u16(struct reader *reader)
{
	struct span bytes = read_bytes(reader, 2);
	return bytes.len ? (unsigned)bytes.data[0] << 8 | bytes.data[1] : 0;
}

/*
 * The extension ids met so far. A word of `bits` means something only once its bit in `known` is
 * set, so that a hello costs 128 bytes of clearing and not 8 KiB, and 16,000 extensions cost no
 * more each than ten do.
 */
struct seen {
	uint64_t known[16];
	uint64_t bits[1024];
};

static bool seen_before(struct seen *seen, unsigned id)
{
	unsigned word = id >> 6;
	uint64_t bit = 1ull << (id & 63), word_bit = 1ull << (word & 63);
	if (!(seen->known[word >> 6] & word_bit)) {
		seen->known[word >> 6] |= word_bit;
		seen->bits[word] = 0;
	}
	bool before = seen->bits[word] & bit;
	seen->bits[word] |= bit;
	return before;
}

/*
 * RFC 6066 section 3. Exactly one host_name: a list of several is forbidden,
 * other types unknown.
 */
static const char *parse_server_name(struct span body, struct server_name *out)
{
	struct span list, name;
	unsigned type;
	if (!span_take_vector16(&body, &list) || body.len > 0)
		return "extension is malformed";
	if (list.len == 0)
		return "list is empty";
	if (!span_take_u8(&list, &type) || !span_take_vector16(&list, &name))
		return "extension is malformed";
	if (type != 0)
		return "is not of type host_name";
	if (list.len > 0)
		return "list does not hold exactly one name";
	return server_name_parse_sni(name, out);
}

/* RFC 7301 section 3.1. */
static const char *parse_alpn(struct span body, struct span *out)
{
	struct span list, id;
	if (!span_take_vector16(&body, &list) || body.len > 0)
		return "extension is malformed";
	if (list.len == 0)
		return "list is empty";
	for (struct span rest = list; rest.len > 0;)
		if (!span_take_vector8(&rest, &id))
			return "list is malformed";
		else if (id.len == 0)
			return "list holds an empty id";
	*out = list;
	return NULL;
}

/* RFC 8446 section 4.2.1. GREASE and drafts are not in the range. Malformed: nothing is known. */
static void parse_versions(struct span body, struct client_hello *hello)
{
	struct span list;
	unsigned version;
	hello->version_min = hello->version_max = 0;
	if (!span_take_vector8(&body, &list) || body.len > 0 || list.len % 2 != 0)
		return;
	while (span_take_u16(&list, &version)) {
		if (version < TLS_1_0 || version > TLS_1_3)
			continue;
		if (hello->version_min == 0 || version < hello->version_min)
			hello->version_min = (uint16_t)version;
		if (version > hello->version_max)
			hello->version_max = (uint16_t)version;
	}
}

/* Without supported_versions a client names its highest version, and accepts the lower ones too. */
static void use_legacy_version(unsigned version, struct client_hello *hello)
{
	if (version < TLS_1_0)
		return;
	hello->version_min = TLS_1_0;
	hello->version_max = version < TLS_1_2 ? (uint16_t)version : TLS_1_2;
}

static void use_extension(unsigned type, struct span body, struct client_hello *hello)
{
	if (type == EXTENSION_SERVER_NAME) {
		hello->sni_error = parse_server_name(body, &hello->sni);
		hello->sni_is_address = !hello->sni_error && hello->sni.len == 0;
	} else if (type == EXTENSION_ALPN)
		hello->alpn_error = parse_alpn(body, &hello->alpn);
	else if (type == EXTENSION_SUPPORTED_VERSIONS)
		parse_versions(body, hello);
}

/* An extension that is whole, as nearly all are. */
static inline bool take_extension(struct reader *block, unsigned *type, struct span *body)
{
	const struct span have = block->have;
	if (have.len < EXTENSION_HEADER)
		return false;
	size_t len = (size_t)have.data[2] << 8 | have.data[3];
	if (len > have.len - EXTENSION_HEADER)
		return false;
	*type = (unsigned)have.data[0] << 8 | have.data[1];
	*body = span_of(have.data + EXTENSION_HEADER, len);
	block->have = span_of(body->data + len, have.len - EXTENSION_HEADER - len);
	block->rest -= EXTENSION_HEADER + len;
	return true;
}

/* One that is not: what of it has arrived decides between more and broken. */
static enum hello_verdict judge_partial_extension(struct reader *block)
{
	read_u16(block);
	read_bytes(block, read_u16(block));
	return block->verdict;
}

static enum hello_verdict parse_extensions(struct reader *block, struct client_hello *hello)
{
	struct seen seen;
	memset(seen.known, 0, sizeof(seen.known));
	bool at_last = false;
	while (block->rest > 0) {
		unsigned type;
		struct span body;
		if (!take_extension(block, &type, &body))
			return judge_partial_extension(block);
		if (at_last)
			return hello_fail(
				hello, HELLO_BROKEN, "pre_shared_key is not the last extension");
		if (seen_before(&seen, type))
			return hello_fail(hello, HELLO_BROKEN, "an extension occurs twice");
		at_last = type == EXTENSION_PRE_SHARED_KEY;
		use_extension(type, body, hello);
	}
	return HELLO_WHOLE;
}

/* RFC 8446 section 4.1.2; the extensions block may be missing (RFC 5246 section 7.4.1.2). */
static enum hello_verdict parse_body(struct reader *body, struct client_hello *hello)
{
	use_legacy_version(read_u16(body), hello);
	read_bytes(body, RANDOM_SIZE);
	unsigned session_id = read_u8(body);
	if (session_id > SESSION_ID_MAX)
		return hello_fail(hello, HELLO_BROKEN, "the session id is longer than 32 bytes");
	read_bytes(body, session_id);
	read_bytes(body, read_u16(body)); /* cipher suites */
	read_bytes(body, read_u8(body));  /* compression methods */
	if (body->verdict != HELLO_WHOLE || body->rest == 0)
		return body->verdict;
	unsigned extensions = read_u16(body);
	if (body->verdict == HELLO_WHOLE && extensions != body->rest)
		return hello_fail(hello, HELLO_BROKEN,
			"the extensions do not end where the ClientHello ends");
	return parse_extensions(body, hello);
}

/* The handshake message as far as it has arrived, and where the walk over the records stands. */
struct message {
	struct span bytes;
	struct span wire;
	size_t record_end;
	size_t need; /* a lower bound of the bytes on the wire that hold a whole hello */
};

static size_t message_len(const struct message *message)
{
	const uint8_t *data = message->bytes.data;
	return MESSAGE_HEADER + ((size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3]);
}

static void message_append(struct message *message, struct span fragment, uint8_t *joined)
{
	if (message->bytes.len == 0) {
		message->bytes = fragment;
		return;
	}
	if (message->bytes.data != joined)
		memcpy(joined, message->bytes.data, message->bytes.len);
	memcpy(joined + message->bytes.len, fragment.data, fragment.len);
	message->bytes = span_of(joined, message->bytes.len + fragment.len);
}

/* The record header at `at`; what of it has arrived is judged at once. */
static enum hello_verdict read_record_header(
	struct span wire, size_t at, struct client_hello *hello, size_t *len)
{
	const uint8_t *header = wire.data + at;
	size_t have = wire.len - at;
	enum hello_verdict unlike = at == 0 ? HELLO_NOT_TLS : HELLO_BROKEN;
	if (have >= 1 && header[0] != RECORD_HANDSHAKE)
		return hello_fail(hello, unlike,
			at == 0 ? "it does not begin with a handshake record"
				: "another kind of record comes before it is whole");
	if (have >= 2 && header[1] != 3)
		return hello_fail(hello, unlike, "a record has no version of TLS");
	if (have < RECORD_HEADER)
		return HELLO_MORE;
	*len = (size_t)header[3] << 8 | header[4];
	if (*len == 0)
		return hello_fail(hello, HELLO_BROKEN, "a handshake record is empty");
	if (*len > RECORD_MAX)
		return hello_fail(hello, HELLO_BROKEN, "a record is longer than 16384 bytes");
	return HELLO_WHOLE;
}

/* Too little to know the hello's length: the next bytes that can bring a verdict. */
static size_t bytes_until_header(const struct message *message)
{
	size_t have = message->bytes.len;
	size_t missing = have == 0 ? 1 : MESSAGE_HEADER - have;
	size_t at =
		message->wire.len < message->record_end ? message->wire.len : message->record_end;
	return at + missing + (at + missing > message->record_end ? RECORD_HEADER : 0);
}

/* After the fragment of a record, or of its front, was appended. */
static enum hello_verdict message_check(struct message *message, struct client_hello *hello)
{
	if (message->bytes.len >= 1 && message->bytes.data[0] != MESSAGE_CLIENT_HELLO)
		return hello_fail(
			hello, HELLO_BROKEN, "the first handshake message is not a ClientHello");
	if (message->bytes.len < MESSAGE_HEADER) {
		message->need = bytes_until_header(message);
		return HELLO_MORE;
	}
	size_t len = message_len(message);
	if (len < MESSAGE_HEADER + BODY_MIN)
		return hello_fail(hello, HELLO_BROKEN, "the ClientHello is too short");
	bool is_record_whole = message->wire.len >= message->record_end;
	size_t unread = is_record_whole ? 0 : message->record_end - message->wire.len;
	size_t known = message->bytes.len + unread;
	size_t beyond = len > known ? len - known : 0;
	size_t records = (beyond + RECORD_MAX - 1) / RECORD_MAX;
	message->need = message->record_end + beyond + records * RECORD_HEADER;
	if (message->need > CLIENT_HELLO_MAX)
		return hello_fail(hello, HELLO_TOO_LARGE, "the ClientHello is larger than 64 KiB");
	return is_record_whole && beyond == 0 ? HELLO_WHOLE : HELLO_MORE;
}

/* Joins records until the message is whole, the bytes end, or something is wrong. */
static enum hello_verdict read_records(
	struct message *message, uint8_t *joined, struct client_hello *hello)
{
	struct span wire = message->wire;
	message->need = wire.len == 0 ? 1 : wire.len == 1 ? 2 : RECORD_HEADER;
	while (message->record_end < wire.len) {
		size_t len, at = message->record_end;
		enum hello_verdict verdict = read_record_header(wire, at, hello, &len);
		if (verdict != HELLO_WHOLE)
			return verdict;
		at += RECORD_HEADER;
		message->record_end = at + len;
		size_t have = wire.len - at < len ? wire.len - at : len;
		size_t before = message->bytes.len;
		message_append(message, span_of(wire.data + at, have), joined);
		verdict = message_check(message, hello);
		if (verdict == HELLO_BROKEN || verdict == HELLO_TOO_LARGE)
			message->bytes.len = before; /* bytes after a fault do not count */
		if (verdict != HELLO_MORE)
			return verdict;
	}
	return HELLO_MORE;
}

/*
 * What has arrived of the body is checked even if reading the records failed: only bytes from before
 * that fault are kept, so that the earlier of two faults wins at every split.
 */
static enum hello_verdict message_check_body(
	const struct message *message, enum hello_verdict walked, struct client_hello *hello)
{
	if (message->bytes.len < MESSAGE_HEADER)
		return walked;
	size_t rest = message_len(message) - MESSAGE_HEADER;
	size_t have = message->bytes.len - MESSAGE_HEADER;
	struct span front =
		span_of(message->bytes.data + MESSAGE_HEADER, have < rest ? have : rest);
	struct reader body = {front, rest, HELLO_WHOLE};
	if (parse_body(&body, hello) != HELLO_BROKEN)
		return walked;
	if (body.verdict == HELLO_BROKEN)
		hello->error = "the lengths in the ClientHello do not match";
	return HELLO_BROKEN;
}

enum hello_verdict client_hello_parse(struct span wire, uint8_t *joined, struct client_hello *hello)
{
	memset(hello, 0, sizeof(*hello));
	struct message message = {.wire = wire};
	if (wire.len > CLIENT_HELLO_MAX)
		message.wire.len = CLIENT_HELLO_MAX;
	enum hello_verdict verdict = read_records(&message, joined, hello);
	verdict = message_check_body(&message, verdict, hello);
	if (verdict == HELLO_WHOLE) {
		hello->wire_len = message.record_end;
		return verdict;
	}
	/* No decision may rest on half a hello. */
	const char *error = hello->error;
	memset(hello, 0, sizeof(*hello));
	hello->error = error;
	hello->want = verdict == HELLO_MORE ? message.need : 0;
	return verdict;
}

bool alpn_next(struct span *list, struct span *id)
{
	return span_take_vector8(list, id);
}

void alpn_text(struct span id, char *out, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t at = 0;
	for (size_t i = 0; i < id.len && size > 0; i++) {
		uint8_t byte = id.data[i];
		bool is_plain = byte >= 0x21 && byte <= 0x7e && byte != '%';
		if (size - at <= (is_plain ? 1 : 3))
			break;
		out[at++] = is_plain ? (char)byte : '%';
		if (!is_plain) {
			out[at++] = digits[byte >> 4];
			out[at++] = digits[byte & 15];
		}
	}
	if (size > 0)
		out[at] = '\0';
}
