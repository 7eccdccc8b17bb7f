#include "route/acl/acl.h"

#include "made_certificate.h"
#include "wire/server_name.h"

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

#define RULES(...)                                                                                 \
	(struct strings)                                                                           \
	{                                                                                          \
		.items = (const char *[]){__VA_ARGS__},                                            \
		.count = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)                    \
	}

static struct acl *acl_of(const struct acl_config *config)
{
	struct err err;
	struct acl *acl = acl_create(config, &err);
	if (!acl)
		fail_msg("%s", err.text);
	return acl;
}

/* An identity is plain data: one with a single value needs no certificate. */
static bool admits(const struct acl_config *config, enum identity_kind kind, struct span text,
	struct acl_verdict *verdict)
{
	struct identity *identity = calloc(1, sizeof *identity + sizeof(struct identity_value));
	struct acl *acl = acl_of(config);
	identity->count = 1;
	identity->values[0] = (struct identity_value){text, kind, true};
	bool is_admitted = acl_check(acl, identity, verdict);
	if (verdict->rule) /* lent by the ACL */
		assert_true(strlen(verdict->rule) > 0);
	acl_free(acl);
	free(identity);
	return is_admitted;
}

static void assert_admits(
	const struct acl_config *config, enum identity_kind kind, const char *text, bool expected)
{
	struct acl_verdict verdict;
	if (admits(config, kind, span_of_string(text), &verdict) != expected)
		fail_msg("\"%s\" is %s", text, expected ? "refused" : "admitted");
	assert_int_equal(verdict.is_admitted, expected);
	assert_int_equal(verdict.field != NULL, expected);
	assert_int_equal(verdict.rule != NULL, expected);
}

static void assert_refused(const struct acl_config *config, const char *expected)
{
	struct err err = {.text = ""};
	assert_null(acl_create(config, &err));
	assert_string_equal(err.text, expected);
}

static void test_without_rules(void **state)
{
	(void)state;
	struct acl *acl = acl_of(&(struct acl_config){0});
	struct identity nobody = {0};
	struct acl_verdict verdict;
	char text[ACL_TEXT_MAX];
	assert_true(acl_check(acl, &nobody, &verdict));
	assert_null(verdict.field);
	assert_true(acl_check(acl, NULL, &verdict));
	acl_text(acl, text);
	assert_string_equal(text, "");
	acl_free(acl);
	acl_free(NULL);
}

static void test_no_certificate_and_rules(void **state)
{
	(void)state;
	struct acl *acl = acl_of(&(struct acl_config){.allow_cn = RULES("alice")});
	struct acl_verdict verdict;
	assert_false(acl_check(acl, NULL, &verdict));
	assert_string_equal(verdict.why, "no client certificate");
	acl_free(acl);
}

static void test_subject_is_exact(void **state)
{
	const struct acl_config config = {.allow_cn = RULES("alice", "J\xc3\xb6rg"),
		.allow_org = RULES("ops"),
		.allow_ou = RULES("night")};
	(void)state;
	assert_admits(&config, IDENTITY_CN, "alice", true);
	assert_admits(&config, IDENTITY_CN, "J\xc3\xb6rg", true);
	assert_admits(&config, IDENTITY_CN, "Alice", false);
	assert_admits(&config, IDENTITY_CN, "alice ", false);
	assert_admits(&config, IDENTITY_CN, "alic", false);
	assert_admits(&config, IDENTITY_CN, "alicea", false);
	assert_admits(&config, IDENTITY_CN, "", false);
	assert_admits(&config, IDENTITY_ORG, "ops", true);
	assert_admits(&config, IDENTITY_OU, "night", true);
	/* A value of one type says nothing about another. */
	assert_admits(&config, IDENTITY_ORG, "alice", false);
	assert_admits(&config, IDENTITY_CN, "ops", false);
	assert_admits(&config, IDENTITY_OU, "ops", false);
	assert_admits(&config, IDENTITY_DNS, "alice", false);
	assert_admits(&config, IDENTITY_EMAIL, "alice", false);
	assert_admits(&config, IDENTITY_URI, "alice", false);
}

static void test_embedded_nul_never_matches(void **state)
{
	const struct acl_config config = {.allow_cn = RULES("alice"),
		.allow_dns = RULES("a.example.com", "*.example.org"),
		.allow_uri = RULES("spiffe://td/a", "spiffe://td/ns/*"),
		.allow_email = RULES("a@example.com")};
	const struct made_name names[] = {
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("alice\0")},
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("alice\0.evil")},
		{NID_commonName, V_ASN1_BMPSTRING, BYTES("\0a\0l\0i\0c\0e\0\0")},
		{0, GEN_DNS, BYTES("a.example.com\0.evil.com")},
		{0, GEN_DNS, BYTES("evil\0.example.org")},
		{0, GEN_URI, BYTES("spiffe://td/a\0b")},
		{0, GEN_URI, BYTES("spiffe://td/ns/a\0b")},
		{0, GEN_EMAIL, BYTES("a@example.com\0")},
	};
	X509 *certificate = made_certificate(*state, names, sizeof names / sizeof names[0]);
	struct identity *identity = identity_of(certificate);
	struct acl *acl = acl_of(&config);
	struct acl_verdict verdict;
	assert_int_equal(identity->count, sizeof names / sizeof names[0]);
	assert_false(acl_check(acl, identity, &verdict));
	assert_string_equal(verdict.why, "no rule admits this certificate");
	/* Nor where somebody takes such a value for a sound one. */
	for (size_t i = 0; i < identity->count; i++)
		identity->values[i].is_valid = i != 6; /* only a path below may be any bytes */
	assert_false(acl_check(acl, identity, &verdict));
	acl_free(acl);
	identity_free(identity);
	X509_free(certificate);
}

static void test_any_of_several_values(void **state)
{
	const struct made_name names[] = {
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("eve")},
		{NID_commonName, V_ASN1_BMPSTRING, BYTES("\0a\0l\0i\0c\0e")},
		{NID_organizationName, V_ASN1_PRINTABLESTRING, BYTES("dev")},
		{NID_organizationName, V_ASN1_PRINTABLESTRING, BYTES("ops")},
		{0, GEN_URI, BYTES("spiffe://td/ns/a/sa/b")},
	};
	X509 *certificate = made_certificate(*state, names, 5);
	struct identity *identity = identity_of(certificate);
	const struct {
		struct acl_config config;
		const char *field, *rule;
	} cases[] = {
		{{.allow_cn = RULES("alice")}, "allow_cn", "alice"},
		{{.allow_org = RULES("none", "ops")}, "allow_org", "ops"},
		{{.allow_uri = RULES("spiffe://td/ns/a/*")}, "allow_uri", "spiffe://td/ns/a/*"},
		{{.allow_cn = RULES("mallory"), .allow_org = RULES("dev")}, "allow_org", "dev"},
		{{.allow_cn = RULES("mallory"), .allow_org = RULES("qa")}, NULL, NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct acl *acl = acl_of(&cases[i].config);
		struct acl_verdict verdict;
		assert_int_equal(acl_check(acl, identity, &verdict), cases[i].field != NULL);
		if (cases[i].field) {
			assert_string_equal(verdict.field, cases[i].field);
			assert_string_equal(verdict.rule, cases[i].rule);
		}
		acl_free(acl);
	}
	identity_free(identity);
	X509_free(certificate);
}

static void test_dns(void **state)
{
	const struct acl_config config = {
		.allow_dns = RULES("App.Example.com.", "*.example.org", "x.y.example.net")};
	(void)state;
	assert_admits(&config, IDENTITY_DNS, "app.example.com", true);
	assert_admits(&config, IDENTITY_DNS, "APP.example.COM", true);
	assert_admits(&config, IDENTITY_DNS, "app.example.com.", true);
	assert_admits(&config, IDENTITY_DNS, "app.example.com..", false);
	assert_admits(&config, IDENTITY_DNS, "b.app.example.com", false);
	assert_admits(&config, IDENTITY_DNS, "example.com", false);
	assert_admits(&config, IDENTITY_DNS, "one.example.org", true);
	assert_admits(&config, IDENTITY_DNS, "two.one.example.org", false);
	assert_admits(&config, IDENTITY_DNS, "example.org", false);
	assert_admits(&config, IDENTITY_DNS, ".example.org", false);
	/* Who holds a wildcard certificate is no host of that domain. */
	assert_admits(&config, IDENTITY_DNS, "*.example.org", false);
	assert_admits(&config, IDENTITY_DNS, "*.y.example.net", false);
	assert_admits(&config, IDENTITY_DNS, "x*.example.org", false);
	assert_admits(&config, IDENTITY_CN, "app.example.com", false);
}

/* The wildcard of an ACL covers what server_name_covered says, whatever the shape of the name. */
static void test_dns_wildcard_as_everywhere(void **state)
{
	static const char *const patterns[] = {"*.a.b", "*.b", "a.b", "b", "*.a.a.b"};
	static const char *const hosts[] = {
		"a.b", "b", "a", "x.a.b", "a.a.b", "x.a.a.b", "x.b", "ax.b", "b.b", "a.b.b"};
	(void)state;
	for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++)
		for (size_t h = 0; h < sizeof hosts / sizeof hosts[0]; h++) {
			struct server_name pattern, host;
			server_name_parse_pattern(span_of_string(patterns[p]), &pattern);
			server_name_parse(span_of_string(hosts[h]), &host);
			assert_admits(&(struct acl_config){.allow_dns = RULES(patterns[p])},
				IDENTITY_DNS, hosts[h], server_name_covered(&pattern, &host));
		}
}

static void test_uri(void **state)
{
	const struct acl_config config = {
		.allow_uri = RULES("spiffe://td/ns/a/sa/b", "spiffe://td/ns/web/*", "urn:x:y")};
	(void)state;
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/a/sa/b", true);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/a/sa/b/c", false);
	assert_admits(&config, IDENTITY_URI, "spiffe://TD/ns/a/sa/b", false);
	assert_admits(&config, IDENTITY_URI, "urn:x:y", true);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/x", true);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/x/y/z", true);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/*", true);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/", false);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web", false);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/webx/y", false);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/../admin", false);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/x/..", false);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/./x", false);
	assert_admits(&config, IDENTITY_URI, "spiffe://td/ns/web/..x", true);
	assert_admits(&config, IDENTITY_URI, "x/spiffe://td/ns/web/x", false);
}

static void test_email(void **state)
{
	const struct acl_config config = {.allow_email = RULES("Alice@Example.com", "a@b@c.org")};
	char text[600];
	(void)state;
	assert_admits(&config, IDENTITY_EMAIL, "Alice@example.com", true);
	assert_admits(&config, IDENTITY_EMAIL, "Alice@EXAMPLE.COM", true);
	assert_admits(&config, IDENTITY_EMAIL, "alice@example.com", false);
	assert_admits(&config, IDENTITY_EMAIL, "a@b@C.org", true);
	assert_admits(&config, IDENTITY_EMAIL, "a@B@c.org", false);
	assert_admits(&config, IDENTITY_EMAIL, "example.com", false);
	assert_admits(&config, IDENTITY_EMAIL, "@example.com", false);
	assert_admits(&config, IDENTITY_EMAIL, "Alice@", false);
	memset(text, 'a', sizeof text);
	strcpy(text + 400, "@example.com");
	assert_admits(&config, IDENTITY_EMAIL, text, false);
}

static void test_fingerprints(void **state)
{
	X509 *certificate = made_certificate(*state, NULL, 0);
	struct identity *identity = identity_of(certificate);
	const uint8_t *prints[] = {identity->certificate, identity->key};
	for (size_t i = 0; i < 2; i++) {
		char hex[FINGERPRINT_HEX_SIZE];
		struct acl_verdict verdict;
		fingerprint_hex(prints[i], hex);
		struct acl *acl = acl_of(&(struct acl_config){.allow_fingerprint = RULES(hex)});
		assert_true(acl_check(acl, identity, &verdict));
		assert_string_equal(verdict.field, "allow_fingerprint");
		assert_string_equal(verdict.rule, hex);
		acl_free(acl);
		hex[63] = hex[63] == '0' ? '1' : '0';
		acl = acl_of(&(struct acl_config){.allow_fingerprint = RULES(hex)});
		assert_false(acl_check(acl, identity, &verdict));
		acl_free(acl);
	}
	identity_free(identity);
	X509_free(certificate);
}

static void test_senseless_rules_are_refused(void **state)
{
	(void)state;
	assert_refused(&(struct acl_config){.allow_cn = RULES("a", "")}, "allow_cn: \"\" is empty");
	assert_refused(&(struct acl_config){.allow_dns = RULES("10.0.0.1")},
		"allow_dns: \"10.0.0.1\" is an IP address");
	assert_refused(&(struct acl_config){.allow_dns = RULES("*")},
		"allow_dns: \"*\" stands for every name; leave all rules out instead");
	assert_refused(&(struct acl_config){.allow_dns = RULES("a.*.com")},
		"allow_dns: \"a.*.com\" has a \"*\" that is not the whole first label");
	const char *uris[] = {"spiffe://*", "/*", "*", "a*", "a/*/b", "a/**", "a//*"};
	for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
		struct err err;
		assert_null(acl_create(&(struct acl_config){.allow_uri = RULES(uris[i])}, &err));
	}
	assert_refused(&(struct acl_config){.allow_email = RULES("alice")},
		"allow_email: \"alice\" is not an email address");
	assert_refused(&(struct acl_config){.allow_fingerprint = RULES("AB")},
		"allow_fingerprint: \"AB\" is not 64 lower-case hex digits");
}

static void test_ten_thousand_rules(void **state)
{
	enum { COUNT = 10000 };
	static char text[COUNT][16];
	static const char *items[COUNT];
	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(text[i], sizeof text[i], "user%d", i * 7919 % COUNT);
		items[i] = text[i];
	}
	const struct acl_config config = {
		.allow_cn = {items, COUNT}, .allow_uri = RULES("spiffe://td/*")};
	for (int i = 0; i < COUNT; i += 997)
		assert_admits(&config, IDENTITY_CN, text[i], true);
	assert_admits(&config, IDENTITY_CN, "user10000", false);
	struct acl *acl = acl_of(&config);
	char told[ACL_TEXT_MAX];
	acl_text(acl, told);
	assert_memory_equal(told, "allow_cn user0, allow_cn user1, ", 32);
	assert_non_null(strstr(told, " and 99"));
	assert_string_equal(told + strlen(told) - 5, " more");
	acl_free(acl);
}

static void test_text(void **state)
{
	const struct acl_config config = {.allow_org = RULES("ops"),
		.allow_cn = RULES("bob", "alice"),
		.allow_uri = RULES("spiffe://td/*")};
	char text[ACL_TEXT_MAX], big[400];
	(void)state;
	struct acl *acl = acl_of(&config);
	acl_text(acl, text);
	assert_string_equal(
		text, "allow_cn alice, allow_cn bob, allow_org ops, allow_uri spiffe://td/*");
	acl_free(acl);
	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = '\0';
	acl = acl_of(&(struct acl_config){.allow_cn = RULES(big)});
	acl_text(acl, text);
	assert_string_equal(text, "1 rules");
	acl_free(acl);
}

static void test_equality(void **state)
{
	const struct {
		struct acl_config one, other;
		bool is_equal;
	} cases[] = {
		{{.allow_cn = {0}}, {.allow_cn = {0}}, true},
		{{.allow_cn = RULES("a", "b")}, {.allow_cn = RULES("b", "a", "b")}, true},
		{{.allow_cn = RULES("a", "b")}, {.allow_cn = RULES("a")}, false},
		{{.allow_cn = RULES("a")}, {.allow_ou = RULES("a")}, false},
		{{.allow_cn = RULES("a")}, {.allow_cn = RULES("A")}, false},
		{{.allow_dns = RULES("A.b.")}, {.allow_dns = RULES("a.B")}, true},
		{{.allow_email = RULES("a@B")}, {.allow_email = RULES("a@b")}, true},
		{{.allow_uri = RULES("x/y/")}, {.allow_uri = RULES("x/y/*")}, false},
		{{.allow_cn = RULES("a")}, {.allow_cn = {0}}, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct acl *one = acl_of(&cases[i].one), *other = acl_of(&cases[i].other);
		if (acl_equal(one, other) != cases[i].is_equal)
			fail_msg("case %zu", i);
		assert_int_equal(acl_equal(other, one), cases[i].is_equal);
		acl_free(one);
		acl_free(other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules),
		cmocka_unit_test(test_no_certificate_and_rules),
		cmocka_unit_test(test_subject_is_exact),
		cmocka_unit_test(test_embedded_nul_never_matches),
		cmocka_unit_test(test_any_of_several_values),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_dns_wildcard_as_everywhere),
		cmocka_unit_test(test_uri),
		cmocka_unit_test(test_email),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_senseless_rules_are_refused),
		cmocka_unit_test(test_ten_thousand_rules),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_equality),
	};
	return cmocka_run_group_tests(tests, make_key, free_key);
}
