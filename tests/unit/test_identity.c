#include "tls/cert/identity.h"

#include "made_certificate.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int make_key(void **state)
{
	*state = made_key();
	return *state ? 0 : -1;
}

static int free_key(void **state)
{
	EVP_PKEY_free(*state);
	return 0;
}

static struct identity *identity_with(void **state, const struct made_name *names, size_t count)
{
	X509 *made = made_certificate(*state, names, count);
	X509 *certificate = reread_certificate(made);
	assert_non_null(certificate);
	ERR_clear_error();
	struct identity *identity = identity_of(certificate);
	assert_non_null(identity);
	assert_int_equal(ERR_peek_error(), 0);
	X509_free(certificate);
	X509_free(made);
	return identity;
}

static void assert_value(const struct identity *identity, size_t i, enum identity_kind kind,
	bool is_valid, struct span text)
{
	assert_true(i < identity->count);
	assert_int_equal(identity->values[i].kind, kind);
	assert_int_equal(identity->values[i].is_valid, is_valid);
	assert_int_equal(identity->values[i].text.len, text.len);
	assert_memory_equal(identity->values[i].text.data, text.data, text.len);
}

static void assert_text(const struct identity *identity, const char *expected)
{
	char text[IDENTITY_TEXT_MAX];
	identity_text(identity, text);
	assert_string_equal(text, expected);
}

static void assert_first(const struct identity *identity, enum identity_kind kind, const char *text)
{
	assert_true(span_equal(identity_first(identity, kind), span_of_string(text)));
}

static void test_every_kind_in_order(void **state)
{
	const struct made_name names[] = {
		{NID_countryName, V_ASN1_PRINTABLESTRING, BYTES("AT")},
		{NID_organizationName, V_ASN1_UTF8STRING, BYTES("ops")},
		{NID_organizationalUnitName, V_ASN1_UTF8STRING, BYTES("night")},
		{NID_commonName, V_ASN1_PRINTABLESTRING, BYTES("alice")},
		{NID_commonName, V_ASN1_IA5STRING, BYTES("bob")},
		{NID_pkcs9_emailAddress, V_ASN1_IA5STRING, BYTES("not@a.san")},
		{0, GEN_EMAIL, BYTES("Alice@Example.com")},
		{0, GEN_DNS, BYTES("a.example.com")},
		{0, GEN_DNS, BYTES("b.example.com")},
		{0, GEN_URI, BYTES("spiffe://td/ns/a")},
	};
	struct identity *identity = identity_with(state, names, sizeof names / sizeof names[0]);
	assert_int_equal(identity->count, 8);
	assert_value(identity, 0, IDENTITY_ORG, true, BYTES("ops"));
	assert_value(identity, 1, IDENTITY_OU, true, BYTES("night"));
	assert_value(identity, 2, IDENTITY_CN, true, BYTES("alice"));
	assert_value(identity, 3, IDENTITY_CN, true, BYTES("bob"));
	assert_value(identity, 4, IDENTITY_EMAIL, true, BYTES("Alice@Example.com"));
	assert_value(identity, 5, IDENTITY_DNS, true, BYTES("a.example.com"));
	assert_value(identity, 6, IDENTITY_DNS, true, BYTES("b.example.com"));
	assert_value(identity, 7, IDENTITY_URI, true, BYTES("spiffe://td/ns/a"));
	assert_text(identity,
		"O=ops,OU=night,CN=alice,CN=bob,email=Alice@Example.com,"
		"DNS=a.example.com,DNS=b.example.com,URI=spiffe://td/ns/a");
	assert_first(identity, IDENTITY_CN, "alice");
	assert_first(identity, IDENTITY_DNS, "a.example.com");
	assert_int_equal(identity->not_after, 1800000000);
	identity_free(identity);
}

static void test_string_types_become_utf8(void **state)
{
	const struct made_name names[] = {
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("J\xc3\xb6rg")},
		{NID_commonName, V_ASN1_BMPSTRING, BYTES("\0J\0\xf6\0r\0g")},
		{NID_commonName, V_ASN1_UNIVERSALSTRING, BYTES("\0\0\0J\0\0\0\xf6\0\0\0r\0\0\0g")},
		{NID_commonName, V_ASN1_T61STRING, BYTES("J\xf6rg")},
	};
	struct identity *identity = identity_with(state, names, 4);
	for (size_t i = 0; i < 4; i++)
		assert_value(identity, i, IDENTITY_CN, true, BYTES("J\xc3\xb6rg"));
	assert_text(identity, "CN=J\xc3\xb6rg,CN=J\xc3\xb6rg,CN=J\xc3\xb6rg,CN=J\xc3\xb6rg");
	identity_free(identity);
}

static void test_unsound_values_are_marked(void **state)
{
	const struct made_name names[] = {
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("alice\0.evil")},
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("alice\0")},
		{NID_commonName, V_ASN1_BMPSTRING, BYTES("\0a\0\0")},
		{NID_commonName, V_ASN1_PRINTABLESTRING, BYTES("al\xe9")},
		{NID_commonName, V_ASN1_IA5STRING, BYTES("al\xe9")},
		{NID_commonName, V_ASN1_BIT_STRING, BYTES("alice")},
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("")},
		{0, GEN_DNS, BYTES("a.example\0.evil")},
		{0, GEN_DNS, BYTES("\xc3\xa4.example")},
		{0, GEN_EMAIL, BYTES("a@b\0")},
		{0, GEN_URI, BYTES("")},
	};
	const size_t count = sizeof names / sizeof names[0];
	struct identity *identity = identity_with(state, names, count);
	assert_int_equal(identity->count, count);
	for (size_t i = 0; i < count; i++)
		if (identity->values[i].is_valid)
			fail_msg("value %zu passes as sound", i);
	assert_int_equal(identity_first(identity, IDENTITY_CN).len, 0);
	identity_free(identity);
}

/* A certificate whose CN got another tag and other bytes after it was encoded. */
static X509 *certificate_with_cn(void **state, uint8_t tag, struct span value)
{
	char filler[16];
	memset(filler, 'Z', sizeof filler);
	const struct made_name names[] = {
		{NID_commonName, V_ASN1_PRINTABLESTRING, span_of(filler, value.len)}};
	X509 *made = made_certificate(*state, names, 1);
	unsigned char *der = NULL;
	size_t len = (size_t)i2d_X509(made, &der);
	for (unsigned char *at = der;
		(at = memmem(at, len - (size_t)(at - der), filler, value.len));) {
		at[-2] = tag;
		memcpy(at, value.data, value.len);
	}
	const unsigned char *at = der;
	X509 *certificate = d2i_X509(NULL, &at, (long)len);
	OPENSSL_free(der);
	X509_free(made);
	return certificate;
}

/* OpenSSL refuses most of these by itself; whatever it lets through must not be sound. */
static void test_invalid_encodings(void **state)
{
	const struct {
		uint8_t tag;
		struct span value;
	} cases[] = {
		{V_ASN1_UTF8STRING, BYTES("al\xff")},
		{V_ASN1_UTF8STRING, BYTES("\xc0\xaf")},
		{V_ASN1_UTF8STRING, BYTES("\xed\xa0\x80")},
		{V_ASN1_UTF8STRING, BYTES("abc\xc3")},
		{V_ASN1_BMPSTRING, BYTES("\0ab")},
		{V_ASN1_BMPSTRING, BYTES("\xd8\x01\0a")},
		{V_ASN1_UNIVERSALSTRING, BYTES("\0\x11\0\0")},
		{V_ASN1_UNIVERSALSTRING, BYTES("\0\0\0a\0\0")},
		{V_ASN1_OCTET_STRING, BYTES("alice")},
		{V_ASN1_INTEGER, BYTES("\x05")},
		{V_ASN1_BIT_STRING, BYTES("\0alice")},
		{V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED,
			BYTES("\x0c\x05"
			      "alice")},
		{V_ASN1_UTCTIME, BYTES("260101000000Z")},
	};
	X509 *good = certificate_with_cn(state, V_ASN1_UTF8STRING, BYTES("alice"));
	struct identity *identity = identity_of(good);
	assert_value(identity, 0, IDENTITY_CN, true, BYTES("alice"));
	identity_free(identity);
	X509_free(good);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		X509 *certificate = certificate_with_cn(state, cases[i].tag, cases[i].value);
		identity = certificate ? identity_of(certificate) : NULL;
		if (identity && identity->values[0].is_valid)
			fail_msg("case %zu passes as sound", i);
		identity_free(identity);
		X509_free(certificate);
	}
}

static void test_text_is_escaped(void **state)
{
	const struct made_name names[] = {
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("alice,O=ops\\")},
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("a\0b\n\x1b[0m")},
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("\xc2\x9b\xe2\x80\xae\xf0\x9f\x98\x80")},
		{NID_commonName, V_ASN1_PRINTABLESTRING, BYTES("\xff\xc3\xb6")},
		{0, GEN_DNS, BYTES("*.example.com")},
	};
	struct identity *identity = identity_with(state, names, 5);
	assert_text(identity,
		"CN=alice\\,O=ops\\\\,CN=a\\x00b\\x0a\\x1b[0m,"
		"CN=\\xc2\\x9b\\xe2\\x80\\xae\xf0\x9f\x98\x80,"
		"CN=\\xff\\xc3\\xb6,DNS=*.example.com");
	identity_free(identity);
}

/* The text never grows past its bound, ends in dots where cut, and cuts no character in two. */
static void test_text_is_bounded(void **state)
{
	for (size_t len = 0; len < 200; len++) {
		char filler[200];
		memset(filler, 'f', sizeof filler);
		const struct made_name names[] = {
			{NID_commonName, V_ASN1_UTF8STRING, span_of(filler, len)},
			{NID_organizationName, V_ASN1_UTF8STRING, span_of(filler, len / 2)},
			{NID_organizationName, V_ASN1_UTF8STRING,
				BYTES("\xc3\xb6\xc3\xb6\xc3\xb6")},
			{NID_organizationalUnitName, V_ASN1_UTF8STRING, span_of(filler, len)},
		};
		char text[IDENTITY_TEXT_MAX + 1], *umlaut = text;
		struct identity *identity = identity_with(state, names, 4);
		memset(text, '!', sizeof text);
		identity_text(identity, text);
		assert_int_equal(text[IDENTITY_TEXT_MAX], '!');
		assert_true(strlen(text) < IDENTITY_TEXT_MAX);
		if (len > 150)
			assert_non_null(strstr(text, "...,O="));
		while ((umlaut = strchr(umlaut, '\xc3')))
			assert_int_equal(*++umlaut, '\xb6');
		identity_free(identity);
	}
}

static void test_huge_subject(void **state)
{
	enum { SIZE = 64 * 1024 };
	uint8_t *big = calloc(1, 2 * SIZE);
	for (size_t i = 0; i < SIZE; i++)
		big[2 * i + 1] = (uint8_t)(0xc0 + i % 32);
	const struct made_name names[] = {
		{NID_commonName, V_ASN1_BMPSTRING, span_of(big, 2 * SIZE)},
		{NID_organizationName, V_ASN1_UTF8STRING, BYTES("ops")},
	};
	struct identity *identity = identity_with(state, names, 2);
	char text[IDENTITY_TEXT_MAX];
	assert_int_equal(identity->values[0].text.len, 2 * SIZE);
	assert_true(identity->values[0].is_valid);
	identity_text(identity, text);
	assert_non_null(strstr(text, "...,O=ops"));
	identity_free(identity);
	free(big);
}

static void test_thousands_of_names(void **state)
{
	enum { COUNT = 4000 };
	struct made_name *names = calloc(COUNT, sizeof *names);
	for (size_t i = 0; i < COUNT; i++)
		names[i] = (struct made_name){0, GEN_DNS, BYTES("a.example.com")};
	struct identity *identity = identity_with(state, names, COUNT);
	char text[IDENTITY_TEXT_MAX];
	assert_int_equal(identity->count, COUNT);
	identity_text(identity, text);
	assert_string_equal(text + strlen(text) - 3, "...");
	identity_free(identity);
	free(names);
}

static void test_fingerprints(void **state)
{
	X509 *certificate = made_certificate(*state, NULL, 0);
	struct identity *identity = identity_of(certificate);
	unsigned char *der = NULL, digest[SHA256_DIGEST_LENGTH];
	char hex[FINGERPRINT_HEX_SIZE], text[IDENTITY_TEXT_MAX];
	int len = i2d_X509(certificate, &der);
	SHA256(der, (size_t)len, digest);
	assert_memory_equal(identity->certificate, digest, sizeof digest);
	OPENSSL_free(der);
	der = NULL;
	len = i2d_PUBKEY(*state, &der);
	SHA256(der, (size_t)len, digest);
	assert_memory_equal(identity->key, digest, sizeof digest);
	OPENSSL_free(der);

	fingerprint_hex((const uint8_t[FINGERPRINT_SIZE]){0x01, 0xab, [31] = 0xf0}, hex);
	assert_string_equal(
		hex, "01ab0000000000000000000000000000000000000000000000000000000000f0");
	assert_int_equal(identity->count, 0);
	fingerprint_hex(identity->certificate, hex);
	identity_text(identity, text);
	assert_memory_equal(text, "SHA256=", 7);
	assert_string_equal(text + 7, hex);
	identity_free(identity);
	X509_free(certificate);
}

/* OpenSSL's complaint about it stays inside; what was in the queue before stays there. */
static void test_broken_san_is_none(void **state)
{
	const struct made_name names[] = {{NID_commonName, V_ASN1_UTF8STRING, BYTES("alice")}};
	X509 *certificate = made_certificate(*state, names, 1);
	ASN1_OCTET_STRING *junk = ASN1_OCTET_STRING_new();
	ASN1_OCTET_STRING_set(junk, (const unsigned char *)"\x30\x82", 2);
	X509_EXTENSION *san = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk);
	X509_add_ext(certificate, san, -1);
	ERR_clear_error();
	ERR_raise(ERR_LIB_USER, 7);
	struct identity *identity = identity_of(certificate);
	assert_text(identity, "CN=alice");
	assert_int_equal(ERR_GET_REASON(ERR_get_error()), 7);
	assert_int_equal(ERR_get_error(), 0);
	identity_free(identity);
	X509_EXTENSION_free(san);
	ASN1_OCTET_STRING_free(junk);
	X509_free(certificate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_in_order),
		cmocka_unit_test(test_string_types_become_utf8),
		cmocka_unit_test(test_unsound_values_are_marked),
		cmocka_unit_test(test_invalid_encodings),
		cmocka_unit_test(test_text_is_escaped),
		cmocka_unit_test(test_text_is_bounded),
		cmocka_unit_test(test_huge_subject),
		cmocka_unit_test(test_thousands_of_names),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_broken_san_is_none),
	};
	return cmocka_run_group_tests(tests, make_key, free_key);
}
