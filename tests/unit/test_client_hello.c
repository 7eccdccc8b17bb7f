/*
 * The ClientHello parser: made hellos for each rule, hellos of real clients (data/clients.jsonl),
 * and OpenSSL's verdict on some 1,800 more where that collection lies beside the checkout.
 */
#include "wire/client_hello.h"
#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h> /* needs those before it */

struct bytes {
	uint8_t *data;
	size_t len;
};

static uint8_t joined[CLIENT_HELLO_MAX];

/* ---- making hellos ---- */

static struct bytes bytes_new(void)
{
	struct bytes bytes = {malloc(8 * CLIENT_HELLO_MAX), 0};
	assert_non_null(bytes.data);
	return bytes;
}

static void add(struct bytes *bytes, const void *data, size_t len)
{
	assert_true(bytes->len + len <= 8 * CLIENT_HELLO_MAX);
	if (len > 0)
		memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

static void add_number(struct bytes *bytes, size_t size, size_t value)
{
	while (size-- > 0)
		add(bytes, (const uint8_t[]){(uint8_t)(value >> 8 * size)}, 1);
}

static void add_extension(struct bytes *bytes, unsigned type, const void *body, size_t len)
{
	add_number(bytes, 2, type);
	add_number(bytes, 2, len);
	add(bytes, body, len);
}

#define TEXT(literal) (literal), (sizeof(literal) - 1)

/* What a made hello consists of; zero is a sound and empty one. */
struct recipe {
	unsigned legacy_version;
	size_t session_id;
	const struct bytes *extensions; /* NULL: no block at all */
	size_t record;                  /* handshake bytes a record; 0: as many as fit */
	size_t padding;                 /* bytes behind the hello in the message stream */
	unsigned minor;                 /* record version 03 xx */
};

static struct bytes make_message(const struct recipe *recipe)
{
	struct bytes body = bytes_new(), message = bytes_new();
	uint8_t zeros[256] = {0};
	add_number(&body, 2, recipe->legacy_version ? recipe->legacy_version : 0x0303);
	add(&body, zeros, 32);
	add_number(&body, 1, recipe->session_id);
	add(&body, zeros, recipe->session_id);
	add(&body, TEXT("\0\2\x13\x01\1\1"));
	if (recipe->extensions) {
		add_number(&body, 2, recipe->extensions->len);
		add(&body, recipe->extensions->data, recipe->extensions->len);
	}
	add_number(&message, 1, 1);
	add_number(&message, 3, body.len);
	add(&message, body.data, body.len);
	free(body.data);
	return message;
}

static struct bytes split(const struct bytes *message, size_t record, unsigned minor)
{
	struct bytes wire = bytes_new();
	for (size_t at = 0; at < message->len; at += record) {
		size_t len = message->len - at < record ? message->len - at : record;
		add_number(&wire, 1, 22);
		add_number(&wire, 2, 0x0300 | minor);
		add_number(&wire, 2, len);
		add(&wire, message->data + at, len);
	}
	return wire;
}

static struct bytes make(const struct recipe *recipe)
{
	struct bytes message = make_message(recipe);
	for (size_t i = 0; i < recipe->padding; i++)
		add_number(&message, 1, 0xaa);
	struct bytes wire = split(&message, recipe->record ? recipe->record : 16384, recipe->minor);
	free(message.data);
	return wire;
}

/* ---- asking ---- */

/* From a block of exactly this size, so that the sanitizer sees a read past its end. */
static enum hello_verdict ask(const uint8_t *data, size_t len, struct client_hello *hello)
{
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	if (len)
		memcpy(copy, data, len);
	enum hello_verdict verdict = client_hello_parse(span_of(copy, len), joined, hello);
	if (verdict == HELLO_WHOLE && hello->alpn.len > 0 && hello->alpn.data >= copy &&
		hello->alpn.data < copy + len) /* keep it usable behind the free below */
		hello->alpn.data = data + (hello->alpn.data - copy);
	free(copy);
	return verdict;
}

/* Every prefix says MORE or the final word; `want` never passes what a whole hello needed. */
static enum hello_verdict ask_at_every_split(const struct bytes *wire, struct client_hello *whole)
{
	struct client_hello part;
	enum hello_verdict final = ask(wire->data, wire->len, whole);
	for (size_t len = 0; len < wire->len; len++) {
		enum hello_verdict verdict = ask(wire->data, len, &part);
		if (verdict == HELLO_MORE) {
			assert_true(part.want > len && part.want <= CLIENT_HELLO_MAX);
			assert_true(final != HELLO_WHOLE || part.want <= whole->wire_len);
			continue;
		}
		assert_int_equal(verdict, final);
		assert_true(final != HELLO_WHOLE || len >= whole->wire_len);
		assert_true(part.error == whole->error ||
			(whole->error && strcmp(part.error, whole->error) == 0));
	}
	return ask(wire->data, wire->len, whole);
}

/* Waits for `want` bytes again and again, as a socket with SO_RCVLOWAT does. */
static enum hello_verdict ask_as_they_arrive(
	const struct bytes *wire, struct client_hello *hello, unsigned *looks)
{
	size_t len = 0;
	for (*looks = 1;; ++*looks) {
		enum hello_verdict verdict = ask(wire->data, len, hello);
		if (verdict != HELLO_MORE || len == wire->len)
			return verdict;
		len = hello->want < wire->len ? hello->want : wire->len;
	}
}

static enum hello_verdict ask_recipe(const struct recipe *recipe, struct client_hello *hello)
{
	struct bytes wire = make(recipe);
	enum hello_verdict verdict = ask_at_every_split(&wire, hello);
	free(wire.data);
	return verdict;
}

static enum hello_verdict ask_extension(
	unsigned type, const void *body, size_t len, struct client_hello *hello)
{
	static uint8_t kept[4096];
	struct bytes extensions = bytes_new();
	add_extension(&extensions, type, body, len);
	enum hello_verdict verdict = ask_recipe(&(struct recipe){.extensions = &extensions}, hello);
	if (hello->alpn.len > 0) { /* the wire is gone */
		assert_true(len >= 2 && hello->alpn.len == len - 2);
		memcpy(kept, (const uint8_t *)body + 2, hello->alpn.len);
		hello->alpn.data = kept;
	}
	free(extensions.data);
	return verdict;
}

/* ---- the rules ---- */

static void begins_with_nothing(void **state)
{
	(void)state;
	struct client_hello hello;
	assert_int_equal(client_hello_parse(span_of(NULL, 0), joined, &hello), HELLO_MORE);
	assert_int_equal(hello.want, 1);
}

static void tells_other_protocols(void **state)
{
	(void)state;
	static const struct bytes others[] = {
		{(uint8_t *)"G", 1},
		{(uint8_t *)"\x16\x02", 2},
		{(uint8_t *)"\x15\x03\x03\x00\x02\x02\x28", 7},
		{(uint8_t *)"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", 11},
		{(uint8_t *)"SSH-2.0-OpenSSH_9.2\r\n", 21},
	};
	struct client_hello hello;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(ask_at_every_split(&others[i], &hello), HELLO_NOT_TLS);
		assert_non_null(hello.error);
	}
}

static void tells_other_messages_and_records(void **state)
{
	(void)state;
	static const struct bytes broken[] = {
		{(uint8_t *)"\x16\x03\x01\x00\x04\x02", 6}, /* a ServerHello */
		{(uint8_t *)"\x16\x03\x01\x00\x00", 5},
		{(uint8_t *)"\x16\x03\x01\x40\x01", 5},
		{(uint8_t *)"\x16\x03\x01\x00\x04\x01\x00\x00\x20", 9}, /* no room for a body */
		{(uint8_t *)"\x16\x03\x01\x00\x01\x01\x17", 7},         /* then application data */
		{(uint8_t *)"\x16\x03\x01\x00\x01\x01\x16\x04", 8},
		{(uint8_t *)"\x16\x03\x01\x00\x01\x01\x16\x03\x03\x00\x00", 11},
	};
	struct client_hello hello;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_int_equal(ask_at_every_split(&broken[i], &hello), HELLO_BROKEN);
		assert_non_null(hello.error);
		assert_int_equal(ask(broken[i].data, broken[i].len - 1, &hello), HELLO_MORE);
	}
}

static void takes_a_hello_without_extensions(void **state)
{
	(void)state;
	struct bytes none = bytes_new();
	struct client_hello hello;
	assert_int_equal(ask_recipe(&(struct recipe){0}, &hello), HELLO_WHOLE);
	assert_int_equal(hello.wire_len, 5 + 4 + 41);
	assert_int_equal(hello.sni.len, 0);
	assert_null(hello.sni_error);
	assert_int_equal(ask_recipe(&(struct recipe){.extensions = &none}, &hello), HELLO_WHOLE);
	assert_int_equal(hello.wire_len, 5 + 4 + 43);
	free(none.data);
}

static void takes_any_minor_version_of_a_record(void **state)
{
	(void)state;
	struct client_hello hello;
	for (unsigned minor = 0; minor < 256; minor += 51)
		assert_int_equal(ask_recipe(&(struct recipe){.minor = minor, .record = 9}, &hello),
			HELLO_WHOLE);
}

static void leaves_what_follows_alone(void **state)
{
	(void)state;
	struct client_hello hello;
	struct recipe recipe = {.padding = 100};
	assert_int_equal(ask_recipe(&recipe, &hello), HELLO_WHOLE);
	assert_int_equal(hello.wire_len, 5 + 4 + 41 + 100); /* all of its record */
	recipe.record = 45;
	assert_int_equal(ask_recipe(&recipe, &hello), HELLO_WHOLE);
	assert_int_equal(hello.wire_len, 5 + 45); /* and no later record */
}

static void refuses_a_long_session_id_at_once(void **state)
{
	(void)state;
	struct client_hello hello;
	assert_int_equal(ask_recipe(&(struct recipe){.session_id = 32}, &hello), HELLO_WHOLE);
	struct bytes wire = make(&(struct recipe){.session_id = 33});
	assert_int_equal(ask_at_every_split(&wire, &hello), HELLO_BROKEN);
	assert_int_equal(ask(wire.data, 5 + 4 + 34, &hello), HELLO_MORE);
	assert_int_equal(ask(wire.data, 5 + 4 + 35, &hello), HELLO_BROKEN);
	free(wire.data);
}

static void refuses_lengths_that_do_not_add_up(void **state)
{
	(void)state;
	struct client_hello hello;
	struct bytes extensions = bytes_new();
	add_extension(&extensions, 5, TEXT("abc"));
	struct bytes wire = make(&(struct recipe){.extensions = &extensions});
	/*
	 * The lengths of session id, ciphers, compression, block and extension;
	 * the message's own.
	 */
	static const size_t places[] = {43, 45, 48, 51, 55, 8};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		for (int step = -1; step <= 1; step += 2) {
			uint8_t before = wire.data[places[i]];
			wire.data[places[i]] = (uint8_t)(before + step);
			enum hello_verdict verdict = ask_at_every_split(&wire, &hello);
			/* A message that claims a byte more waits for it. */
			if (places[i] == 8 && step == 1)
				assert_in_range(verdict, HELLO_MORE, HELLO_BROKEN);
			else
				assert_int_equal(verdict, HELLO_BROKEN);
			wire.data[places[i]] = before;
		}
	assert_int_equal(ask_at_every_split(&wire, &hello), HELLO_WHOLE);
	free(wire.data);
	free(extensions.data);
}

static void refuses_an_extension_there_twice(void **state)
{
	(void)state;
	static const unsigned types[] = {0, 16, 5, 63, 64, 0x0a0a, 0xfe0d, 0xffff};
	struct client_hello hello;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct bytes extensions = bytes_new();
		add_extension(&extensions, types[i], NULL, 0);
		add_extension(&extensions, types[i] ^ 0x8000, NULL, 0);
		struct recipe recipe = {.extensions = &extensions};
		assert_int_equal(ask_recipe(&recipe, &hello), HELLO_WHOLE);
		add_extension(&extensions, types[i], NULL, 0);
		assert_int_equal(ask_recipe(&recipe, &hello), HELLO_BROKEN);
		free(extensions.data);
	}
}

static void counts_sixteen_thousand_extensions(void **state)
{
	(void)state;
	struct client_hello hello;
	struct bytes extensions = bytes_new();
	for (unsigned i = 0; i < 16000; i++)
		add_extension(&extensions, i * 4 + 100, NULL, 0);
	struct bytes wire = make(&(struct recipe){.extensions = &extensions});
	assert_int_equal(ask(wire.data, wire.len, &hello), HELLO_WHOLE);
	free(wire.data);
	add_extension(&extensions, 8000 * 4 + 100, NULL, 0);
	wire = make(&(struct recipe){.extensions = &extensions});
	assert_int_equal(ask(wire.data, wire.len, &hello), HELLO_BROKEN);
	free(wire.data);
	free(extensions.data);
}

static void wants_pre_shared_key_last(void **state)
{
	(void)state;
	struct client_hello hello;
	struct bytes extensions = bytes_new();
	add_extension(&extensions, 5, NULL, 0);
	add_extension(&extensions, 41, NULL, 0);
	struct recipe recipe = {.extensions = &extensions};
	assert_int_equal(ask_recipe(&recipe, &hello), HELLO_WHOLE);
	add_extension(&extensions, 21, NULL, 0);
	assert_int_equal(ask_recipe(&recipe, &hello), HELLO_BROKEN);
	free(extensions.data);
}

/* A hello whose message has `len` bytes in all, the 4 of its header included. */
static struct bytes make_sized(size_t len, size_t record)
{
	struct bytes extensions = bytes_new(), padding = bytes_new();
	size_t left = len - 4 - 43;
	for (unsigned type = 100; left > 0; type++) {
		size_t part = left - 4 > 60000 ? 30000 : left - 4;
		memset(padding.data, 0, part);
		add_extension(&extensions, type, padding.data, part);
		left -= part + 4;
	}
	struct bytes wire = make(&(struct recipe){.extensions = &extensions, .record = record});
	free(extensions.data);
	free(padding.data);
	return wire;
}

static void takes_64_kib_and_not_a_byte_more(void **state)
{
	(void)state;
	struct client_hello hello;
	unsigned looks;
	struct bytes wire = make_sized(CLIENT_HELLO_MAX - 4 * 5, 0);
	assert_int_equal(wire.len, CLIENT_HELLO_MAX);
	assert_int_equal(ask_as_they_arrive(&wire, &hello, &looks), HELLO_WHOLE);
	assert_int_equal(hello.wire_len, CLIENT_HELLO_MAX);
	assert_in_range(looks, 1, 12);
	free(wire.data);

	wire = make_sized(CLIENT_HELLO_MAX - 4 * 5 + 1, 0);
	assert_int_equal(ask(wire.data, 9, &hello), HELLO_TOO_LARGE);
	assert_int_equal(ask(wire.data, 8, &hello), HELLO_MORE);
	assert_int_equal(ask(wire.data, wire.len, &hello), HELLO_TOO_LARGE);
	free(wire.data);
}

static void tells_too_large_before_it_has_come(void **state)
{
	(void)state;
	struct client_hello hello;
	struct bytes wire = make_sized(20000, 1);
	size_t len = 0;
	while (ask(wire.data, len, &hello) == HELLO_MORE)
		len = hello.want;
	assert_int_equal(ask(wire.data, len, &hello), HELLO_TOO_LARGE);
	assert_true(len <= CLIENT_HELLO_MAX);
	for (size_t more = len; more <= wire.len; more += 997)
		assert_int_equal(ask(wire.data, more, &hello), HELLO_TOO_LARGE);
	free(wire.data);
}

/* Two faults: too large for certain at byte 9, a session id of 255 bytes at byte 44. */
static void keeps_to_the_first_fault(void **state)
{
	(void)state;
	struct client_hello hello;
	struct bytes wire = bytes_new();
	add(&wire, TEXT("\x16\x03\x01\x01\x00\x01\xff\xff\xff"));
	for (size_t i = 0; i < 300; i++)
		add_number(&wire, 1, 0xff);
	assert_int_equal(ask_at_every_split(&wire, &hello), HELLO_TOO_LARGE);
	/* The other way round: the body is broken in the first record, the second is of no TLS. */
	wire.len = 0;
	add(&wire, TEXT("\x16\x03\x01\x00\x80\x01\x00\x01\x00"));
	for (size_t i = 0; i < 300; i++)
		add_number(&wire, 1, 0xff);
	assert_int_equal(ask_at_every_split(&wire, &hello), HELLO_BROKEN);
	assert_string_equal(hello.error, "the session id is longer than 32 bytes");
	free(wire.data);
}

static void finds_the_server_name(void **state)
{
	(void)state;
	struct client_hello hello;
	assert_int_equal(ask_extension(0,
				 TEXT("\0\x0f\0\0\x0c"
				      "App.Example."),
				 &hello),
		HELLO_WHOLE);
	assert_null(hello.sni_error);
	assert_string_equal(hello.sni.text, "app.example");
	assert_int_equal(hello.sni.len, 11);
}

static void an_address_is_no_server_name(void **state)
{
	(void)state;
	struct client_hello hello;
	assert_int_equal(ask_extension(0,
				 TEXT("\0\x0c\0\0\x09"
				      "127.0.0.1"),
				 &hello),
		HELLO_WHOLE);
	assert_null(hello.sni_error);
	assert_true(hello.sni_is_address);
	assert_int_equal(hello.sni.len, 0);
}

static void refuses_odd_server_name_lists(void **state)
{
	(void)state;
	static const struct bytes odd[] = {
		{(uint8_t *)"", 0},
		{(uint8_t *)"\0\0", 2},
		{(uint8_t *)"\0\4\0\0\1a!", 7},          /* a byte behind the list */
		{(uint8_t *)"\0\5\0\0\1a", 6},           /* a list longer than the body */
		{(uint8_t *)"\0\4\0\0\2a", 6},           /* a name longer than the list */
		{(uint8_t *)"\0\3\0\0\0", 5},            /* an empty name */
		{(uint8_t *)"\0\4\1\0\1a", 6},           /* another type */
		{(uint8_t *)"\0\x08\0\0\1a\0\0\1b", 10}, /* two names */
		{(uint8_t *)"\0\x08\0\0\1a\1\0\1b", 10}, /* a name and something else */
		{(uint8_t *)"\0\6\0\0\3a\0b", 8},
	};
	struct client_hello hello;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(ask_extension(0, odd[i].data, odd[i].len, &hello), HELLO_WHOLE);
		assert_non_null(hello.sni_error);
		assert_int_equal(hello.sni.len, 0);
	}
}

static void finds_the_protocols(void **state)
{
	(void)state;
	struct client_hello hello;
	struct span id;
	char text[ALPN_TEXT_MAX];
	assert_int_equal(ask_extension(16, TEXT("\0\x08\2h2\4a% \xff"), &hello), HELLO_WHOLE);
	assert_null(hello.alpn_error);
	assert_true(alpn_next(&hello.alpn, &id));
	assert_true(span_equal(id, span_of_string("h2")));
	assert_true(alpn_next(&hello.alpn, &id));
	alpn_text(id, text, sizeof(text));
	assert_string_equal(text, "a%25%20%FF");
	assert_false(alpn_next(&hello.alpn, &id));
}

static void cuts_text_between_bytes(void **state)
{
	(void)state;
	char text[ALPN_TEXT_MAX];
	uint8_t longest[255];
	memset(longest, ' ', sizeof(longest));
	alpn_text(span_of(longest, sizeof(longest)), text, sizeof(text));
	assert_int_equal(strlen(text), 765);
	alpn_text(span_of(TEXT("a b")), text, 4);
	assert_string_equal(text, "a");
	alpn_text(span_of(TEXT("a b")), text, 5);
	assert_string_equal(text, "a%20");
	alpn_text(span_of(TEXT("a b")), text, 1);
	assert_string_equal(text, "");
}

static void refuses_odd_protocol_lists(void **state)
{
	(void)state;
	static const struct bytes odd[] = {
		{(uint8_t *)"", 0},
		{(uint8_t *)"\0\0", 2},
		{(uint8_t *)"\0\1\0", 3},
		{(uint8_t *)"\0\3\2h2!", 6},
		{(uint8_t *)"\0\4\2h2", 5},
		{(uint8_t *)"\0\3\3h2", 5},
		{(uint8_t *)"\0\4\2h2\0", 6},
	};
	struct client_hello hello;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(ask_extension(16, odd[i].data, odd[i].len, &hello), HELLO_WHOLE);
		assert_non_null(hello.alpn_error);
		assert_int_equal(hello.alpn.len, 0);
	}
}

static void finds_the_versions(void **state)
{
	(void)state;
	struct client_hello hello;
	ask_extension(43, TEXT("\x06\x0a\x0a\x03\x04\x03\x03"), &hello);
	assert_int_equal(hello.version_min, 0x0303);
	assert_int_equal(hello.version_max, 0x0304);
	ask_extension(43, TEXT("\x04\x0a\x0a\x7f\x1c"), &hello); /* GREASE and a draft */
	assert_int_equal(hello.version_max, 0);
	ask_extension(43, TEXT("\x03\x03\x04\x03"), &hello);
	assert_int_equal(hello.version_max, 0);
	ask_recipe(&(struct recipe){.legacy_version = 0x0302}, &hello);
	assert_int_equal(hello.version_min, 0x0301);
	assert_int_equal(hello.version_max, 0x0302);
	ask_recipe(&(struct recipe){.legacy_version = 0x0304}, &hello);
	assert_int_equal(hello.version_max, 0x0303);
	ask_recipe(&(struct recipe){.legacy_version = 0x0300}, &hello);
	assert_int_equal(hello.version_max, 0);
}

/* ---- collections: one JSON object a line ---- */

static const char *text_of(const cJSON *row, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, key));
}

static struct bytes bytes_of_hex(const char *hex)
{
	struct bytes bytes = bytes_new();
	for (unsigned byte; hex && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		add_number(&bytes, 1, byte);
	return bytes;
}

/* Written apart from the parser: does section 5 of the design take this name? */
static bool is_acceptable(const uint8_t *name, size_t len)
{
	char text[254];
	unsigned quad[4];
	int used = 0;
	if (len == 0 || len > 253 || memchr(name, 0, len) || memmem(name, len, "..", 2))
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] == 0x7f)
			return false;
	memcpy(text, name, len);
	text[len] = '\0';
	if (sscanf(text, "%3u.%3u.%3u.%3u%n", &quad[0], &quad[1], &quad[2], &quad[3], &used) == 4 &&
		(size_t)used == len)
		return false;
	return name[0] != '.' && name[len - 1] != '.' && !strchr(text, ':');
}

/* Canonical by hand, from the body of the extension. */
static void check_name(const cJSON *row, const struct client_hello *hello)
{
	const char *raw_hex = text_of(row, "sni_raw_hex");
	struct bytes raw = bytes_of_hex(raw_hex);
	uint8_t *name = raw.data + 5;
	size_t len = raw.len > 5 ? raw.len - 5 : 0;
	for (size_t i = 0; i < len; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (uint8_t)(name[i] + 'a' - 'A');
	if (len > 0 && name[len - 1] == '.')
		len--;
	if (!raw_hex) {
		assert_null(hello->sni_error);
		assert_int_equal(hello->sni.len, 0);
	} else if (text_of(row, "sni") && is_acceptable(name, len)) {
		assert_null(hello->sni_error);
		assert_int_equal(hello->sni.len, len);
		assert_memory_equal(hello->sni.text, name, len);
	} else {
		assert_true(hello->sni_error || hello->sni_is_address);
		assert_int_equal(hello->sni.len, 0);
	}
	free(raw.data);
}

static void check_protocols(const cJSON *row, const struct client_hello *hello)
{
	const cJSON *expected = cJSON_GetObjectItemCaseSensitive(row, "alpn"), *item;
	struct span list = hello->alpn, id;
	char text[ALPN_TEXT_MAX];
	bool is_bad = cJSON_GetArraySize(expected) == 0 && text_of(row, "alpn_raw_hex");
	assert_int_equal(hello->alpn_error != NULL, is_bad);
	cJSON_ArrayForEach(item, expected)
	{
		assert_true(alpn_next(&list, &id));
		alpn_text(id, text, sizeof(text));
		assert_string_equal(text, item->valuestring);
	}
	assert_int_equal(list.len, 0);
}

/* The handshake message of a stream that is sound up to its end; empty when it is not all there. */
static struct bytes join(const struct bytes *wire)
{
	struct bytes message = bytes_new();
	size_t at = 0, len = 4;
	while (message.len < len && at + 5 <= wire->len && wire->data[at] == 22) {
		size_t record = (size_t)wire->data[at + 3] << 8 | wire->data[at + 4];
		if (record == 0 || at + 5 + record > wire->len)
			break;
		add(&message, wire->data + at + 5, record);
		at += 5 + record;
		if (message.len >= 4)
			len = 4 +
				((size_t)message.data[1] << 16 | (size_t)message.data[2] << 8 |
					message.data[3]);
	}
	message.len = message.len < len ? 0 : len;
	return message;
}

static unsigned log2_of(size_t value)
{
	unsigned bits = 0;
	while (value >>= 1)
		bits++;
	return bits;
}

/* The same message in records of k bytes: the same answer, after few looks. */
static void check_records_of(
	size_t k, const cJSON *row, const struct bytes *message, enum hello_verdict expected)
{
	struct client_hello hello;
	struct bytes wire = split(message, k, 1);
	unsigned looks;
	enum hello_verdict verdict = ask(wire.data, wire.len, &hello);
	if (wire.len > CLIENT_HELLO_MAX) {
		assert_in_range(verdict, HELLO_BROKEN, HELLO_TOO_LARGE);
		free(wire.data);
		return;
	}
	assert_int_equal(verdict, expected);
	assert_int_equal(ask_as_they_arrive(&wire, &hello, &looks), expected);
	assert_in_range(looks, 1, 12 + 4 * log2_of(wire.len));
	if (expected == HELLO_WHOLE) {
		assert_int_equal(hello.wire_len, wire.len);
		check_name(row, &hello);
		check_protocols(row, &hello);
	}
	if (wire.len < 2000)
		ask_at_every_split(&wire, &hello);
	free(wire.data);
}

static void check_resplit(const cJSON *row, const struct bytes *wire, enum hello_verdict verdict)
{
	static const size_t sizes[] = {1, 2, 3, 7, 100};
	struct bytes message = join(wire);
	if (message.len > 0 && (verdict == HELLO_WHOLE || verdict == HELLO_BROKEN))
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			check_records_of(sizes[i], row, &message, verdict);
	free(message.data);
}

static bool is_refusal(enum hello_verdict verdict)
{
	return verdict != HELLO_WHOLE && verdict != HELLO_MORE;
}

static void check_row(const cJSON *row)
{
	struct bytes wire = bytes_of_hex(text_of(row, "hex"));
	const char *complete = text_of(row, "complete");
	bool is_free = text_of(row, "either") != NULL;
	struct client_hello hello;
	enum hello_verdict verdict = ask_at_every_split(&wire, &hello);
	assert_non_null(complete);
	if (strcmp(complete, "bad") == 0)
		assert_true(is_refusal(verdict) || is_free);
	else if (!is_free || !is_refusal(verdict))
		assert_int_equal(verdict, *complete == 'y' ? HELLO_WHOLE : HELLO_MORE);
	if (verdict == HELLO_WHOLE && *complete == 'y') {
		check_name(row, &hello);
		check_protocols(row, &hello);
	}
	if (verdict != HELLO_WHOLE || *complete == 'y')
		check_resplit(row, &wire, verdict);
	free(wire.data);
}

/* The number of rows; -1 when there is no such file. */
static int check_collection(const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	int rows = 0;
	if (!file)
		return -1;
	while (getline(&line, &size, file) > 0) {
		cJSON *row = cJSON_Parse(line);
		assert_non_null(row);
		rows++;
		check_row(row);
		cJSON_Delete(row);
	}
	free(line);
	fclose(file);
	return rows;
}

static void agrees_about_real_clients(void **state)
{
	(void)state;
	assert_int_equal(check_collection("tests/unit/data/clients.jsonl"), 22);
}

static void agrees_with_openssl(void **state)
{
	(void)state;
	const char *folder = getenv("GATEHOUSE_HELLOS");
	char path[4096];
	snprintf(path, sizeof(path), "%s/known.jsonl", folder ? folder : "../shared/hellos");
	int rows = check_collection(path);
	if (rows < 0) {
		print_message("%s is not there: set GATEHOUSE_HELLOS to its folder\n", path);
		skip();
	}
	assert_true(rows > 0);
	print_message("%d hellos, each at every split\n", rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_with_nothing),
		cmocka_unit_test(tells_other_protocols),
		cmocka_unit_test(tells_other_messages_and_records),
		cmocka_unit_test(takes_a_hello_without_extensions),
		cmocka_unit_test(takes_any_minor_version_of_a_record),
		cmocka_unit_test(leaves_what_follows_alone),
		cmocka_unit_test(refuses_a_long_session_id_at_once),
		cmocka_unit_test(refuses_lengths_that_do_not_add_up),
		cmocka_unit_test(refuses_an_extension_there_twice),
		cmocka_unit_test(counts_sixteen_thousand_extensions),
		cmocka_unit_test(wants_pre_shared_key_last),
		cmocka_unit_test(takes_64_kib_and_not_a_byte_more),
		cmocka_unit_test(tells_too_large_before_it_has_come),
		cmocka_unit_test(keeps_to_the_first_fault),
		cmocka_unit_test(finds_the_server_name),
		cmocka_unit_test(an_address_is_no_server_name),
		cmocka_unit_test(refuses_odd_server_name_lists),
		cmocka_unit_test(finds_the_protocols),
		cmocka_unit_test(cuts_text_between_bytes),
		cmocka_unit_test(refuses_odd_protocol_lists),
		cmocka_unit_test(finds_the_versions),
		cmocka_unit_test(agrees_about_real_clients),
		cmocka_unit_test(agrees_with_openssl),
	};
	return cmocka_run_group_tests_name("client_hello", tests, NULL, NULL);
}
