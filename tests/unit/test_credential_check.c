/* What is reported of certificates that load: dates, chains that do not lead up, keys that others read. */
#include "tls/cert/credential_check.h"

#include <openssl/x509v3.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY (24 * 3600)
#define NOW ((time_t)1790000000) /* 2026-09-21T14:13:20Z */

static EVP_PKEY *key, *other_key;

struct recipe {
	const char *name, *by; /* common names */
	time_t until;          /* of NOW; 0: in 90 days */
	time_t from;           /* of NOW; 0: a day ago */
	EVP_PKEY *key, *issuer_key;
	bool has_issuer_url;
};

static void add_name(X509_NAME *name, const char *text)
{
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)text, -1, -1, 0);
}

static void add_key_id(X509 *certificate, int nid, EVP_PKEY *of)
{
	unsigned char digest[32];
	size_t len = sizeof digest;
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	EVP_PKEY_get_octet_string_param(of, "pub", NULL, 0, &len);
	unsigned char *point = malloc(len);
	EVP_PKEY_get_octet_string_param(of, "pub", point, len, &len);
	EVP_Digest(point, len, digest, NULL, EVP_sha256(), NULL);
	free(point);
	ASN1_OCTET_STRING_set(id, digest, 20);
	if (nid == NID_authority_key_identifier) {
		AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
		authority->keyid = id;
		X509_add1_ext_i2d(certificate, nid, authority, 0, 0);
		AUTHORITY_KEYID_free(authority);
		return;
	}
	X509_add1_ext_i2d(certificate, nid, id, 0, 0);
	ASN1_OCTET_STRING_free(id);
}

static X509 *issue(const struct recipe *recipe)
{
	X509 *certificate = X509_new();
	EVP_PKEY *own = recipe->key ? recipe->key : key;
	EVP_PKEY *issuer_key = recipe->issuer_key ? recipe->issuer_key : key;
	X509_set_version(certificate, X509_VERSION_3);
	add_name(X509_get_subject_name(certificate), recipe->name);
	add_name(X509_get_issuer_name(certificate), recipe->by);
	ASN1_TIME_set(X509_getm_notBefore(certificate), NOW + (recipe->from ? recipe->from : -DAY));
	ASN1_TIME_set(
		X509_getm_notAfter(certificate), NOW + (recipe->until ? recipe->until : 90 * DAY));
	X509_set_pubkey(certificate, own);
	add_key_id(certificate, NID_subject_key_identifier, own);
	add_key_id(certificate, NID_authority_key_identifier, issuer_key);
	if (recipe->has_issuer_url) {
		X509_EXTENSION *url = X509V3_EXT_conf_nid(
			NULL, NULL, NID_info_access, "caIssuers;URI:http://ca.test/r3.der");
		X509_add_ext(certificate, url, -1);
		X509_EXTENSION_free(url);
	}
	X509_sign(certificate, issuer_key, EVP_sha256());
	return certificate;
}

static struct credential *credential_of(const struct recipe *recipes, size_t count)
{
	struct credential *credential = calloc(1, sizeof *credential);
	STACK_OF(X509) *chain = sk_X509_new_null();
	credential->refs = 1;
	for (size_t i = 1; i < count; i++)
		sk_X509_push(chain, issue(&recipes[i]));
	credential_set_leaf(credential, issue(&recipes[0]), chain);
	return credential;
}

static void on_finding(void *owner, enum credential_part part, const char *text)
{
	char *out = owner;
	sprintf(out + strlen(out), "%s: %s\n", part == CREDENTIAL_CERT ? "cert" : "key", text);
}

static void assert_findings(struct credential *credential, const char *wanted)
{
	char found[4096] = "";
	credential_check(credential, NOW, on_finding, found);
	assert_string_equal(found, wanted);
	credential_unref(credential);
}

#define FINDINGS(wanted, ...)                                                                      \
	assert_findings(                                                                           \
		credential_of((const struct recipe[]){__VA_ARGS__},                                \
			sizeof((const struct recipe[]){__VA_ARGS__}) / sizeof(struct recipe)),     \
		wanted)

static void what_leads_up_is_fine(void **state)
{
	(void)state;
	FINDINGS("", {.name = "leaf", .by = "root"});
	FINDINGS("", {.name = "leaf", .by = "leaf"});
	FINDINGS("", {.name = "leaf", .by = "R3", .has_issuer_url = true},
		{.name = "R3", .by = "root"});
	FINDINGS("", {.name = "leaf", .by = "R3"}, {.name = "R3", .by = "R2"},
		{.name = "R2", .by = "root"}, {.name = "root", .by = "root"});
	/* A root that is sent along, and has expired, is for nobody. */
	FINDINGS("", {.name = "leaf", .by = "R3"}, {.name = "R3", .by = "root"},
		{.name = "root", .by = "root", .until = -DAY});
}

static void dates_of_the_certificate(void **state)
{
	(void)state;
	FINDINGS("cert: the certificate expired at 2026-09-20T14:13:20Z\n",
		{.name = "leaf", .by = "root", .until = -DAY});
	FINDINGS("cert: the certificate expires at 2026-09-23T14:13:20Z\n",
		{.name = "leaf", .by = "root", .until = 2 * DAY});
	FINDINGS("cert: the certificate is not valid before 2026-09-22T14:13:20Z\n",
		{.name = "leaf", .by = "root", .from = DAY});
}

static void dates_of_the_chain(void **state)
{
	(void)state;
	FINDINGS("cert: certificate 2 of the file, CN=R3, expired at 2026-09-20T14:13:20Z\n",
		{.name = "leaf", .by = "R3"}, {.name = "R3", .by = "root", .until = -DAY});
	FINDINGS(
		"cert: certificate 3 of the file, CN=R2, is not valid before 2026-09-22T14:13:20Z\n",
		{.name = "leaf", .by = "R3"}, {.name = "R3", .by = "R2"},
		{.name = "R2", .by = "root", .from = DAY});
	FINDINGS(
		"cert: certificate 2 of the file, CN=R3, expires before the certificate itself, at "
		"2026-11-20T14:13:20Z\n",
		{.name = "leaf", .by = "R3"}, {.name = "R3", .by = "root", .until = 60 * DAY});
}

static void a_chain_that_does_not_lead_up(void **state)
{
	(void)state;
	FINDINGS(
		"cert: the issuer of certificate 1, CN=R3, is not certificate 2 of the file, which is "
		"CN=E1\n",
		{.name = "leaf", .by = "R3"}, {.name = "E1", .by = "root"});
	FINDINGS(
		"cert: the issuer of certificate 2, CN=R2, is not certificate 3 of the file, which is "
		"CN=root\n",
		{.name = "leaf", .by = "R3"}, {.name = "R3", .by = "R2"},
		{.name = "root", .by = "root"});
	FINDINGS("cert: certificate 2 of the file, CN=R3, has another key than the issuer of "
		 "certificate 1\n",
		{.name = "leaf", .by = "R3"}, {.name = "R3", .by = "root", .key = other_key});
}

static void a_chain_that_is_missing(void **state)
{
	(void)state;
	FINDINGS(
		"cert: no intermediate certificate follows in the file: clients that do not know the "
		"issuer, CN=R3\\0Aevil\\1B, refuse the certificate\n",
		{.name = "leaf", .by = "R3\nevil\x1b", .has_issuer_url = true});
}

/* What check, /certz, /readyz and the metrics look at. */
static void dates_are_those_of_the_whole_chain(void **state)
{
	(void)state;
	struct recipe recipes[] = {{.name = "leaf", .by = "R3"},
		{.name = "R3", .by = "R2", .until = 10 * DAY},
		{.name = "R2", .by = "root", .from = -DAY / 2},
		{.name = "root", .by = "root", .until = DAY}};
	struct credential *credential = credential_of(recipes, 4);
	assert_int_equal(credential->not_before, NOW - DAY / 2);
	assert_int_equal(credential->not_after, NOW + 10 * DAY);
	assert_false(credential->is_leaf_first);
	credential_unref(credential);
	credential = credential_of(recipes, 1);
	assert_int_equal(credential->not_before, NOW - DAY);
	assert_int_equal(credential->not_after, NOW + 90 * DAY);
	assert_true(credential->is_leaf_first);
	credential_unref(credential);
}

static int set_up(void **state)
{
	(void)state;
	key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	other_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	return key && other_key ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_leads_up_is_fine),
		cmocka_unit_test(dates_of_the_certificate),
		cmocka_unit_test(dates_of_the_chain),
		cmocka_unit_test(a_chain_that_does_not_lead_up),
		cmocka_unit_test(a_chain_that_is_missing),
		cmocka_unit_test(dates_are_those_of_the_whole_chain),
	};
	return cmocka_run_group_tests_name("credential_check", tests, set_up, tear_down);
}
