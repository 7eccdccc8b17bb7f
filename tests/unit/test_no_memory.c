/*
 * What is read of certificates, revocation lists and the configuration while one allocation fails: all of it, or an
 * error. A list that is read in part would let a revoked certificate in, a route without its backend crashes.
 */
#include "made_certificate.h"
#include "route/routes.h"
#include "tls/cert/identity.h"
#include "tls/cert/trust.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static _Thread_local unsigned long
	failing; /* counts down to the allocation that fails; 0: none does */
static bool has_failed;

static bool fails(void)
{
	bool now = failing > 0 && --failing == 0;
	has_failed |= now;
	if (now)
		errno = ENOMEM;
	return now;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true /* its own functions are in the place of these */
#else
#define IS_SANITIZED false
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *at, size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

__attribute__((visibility("default"))) void *realloc(void *at, size_t size)
{
	return fails() ? NULL : __libc_realloc(at, size);
}
#endif

static void *allocate(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return IS_SANITIZED && fails() ? NULL : malloc(size);
}

static void *reallocate(void *at, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return IS_SANITIZED && fails() ? NULL : realloc(at, size);
}

static void release(void *at, const char *file, int line)
{
	(void)file, (void)line;
	free(at);
}

static void fail_at(unsigned long number)
{
	failing = number;
	has_failed = false;
}

static EVP_PKEY *key;
static X509 *certificate;

#define TEXT(literal)                                                                              \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}
enum { NAMES = 4, SANS = 2 };
static const struct made_name names[NAMES] = {
	{NID_commonName, V_ASN1_T61STRING, TEXT("J\xf6rg \xe4\xe4\xe4\xe4")},
	{NID_organizationName, V_ASN1_BMPSTRING, TEXT("\0o\0r\0g\0a")},
	{0, GEN_DNS, TEXT("a.test")},
	{0, GEN_URI, TEXT("spiffe://test/a")},
};

/* SANs that cannot be decoded are as none: rules admit what they find. */
static void an_identity_is_whole_or_none(void **state)
{
	(void)state;
	struct identity *whole = identity_of(certificate), *seen = NULL;
	unsigned long number = 0, refusals = 0;
	assert_int_equal(whole->count, NAMES);
	do {
		identity_free(seen);
		fail_at(++number);
		seen = identity_of(certificate);
		failing = 0;
		refusals += seen == NULL;
		if (seen && seen->count != NAMES)
			assert_int_equal(seen->count, NAMES - SANS);
		for (size_t i = 0; seen && i < seen->count; i++) {
			assert_true(seen->values[i].is_valid);
			assert_true(span_equal(seen->values[i].text, whole->values[i].text));
		}
	} while (has_failed);
	assert_true(refusals > 0);
	identity_free(seen);
	identity_free(whole);
}

static char path[] = "/tmp/test_no_memory.XXXXXX";

static void put_twice(void)
{
	FILE *file = fopen(path, "w");
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *at = ASN1_TIME_set(NULL, 1700000000);
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(certificate));
	X509_CRL_set1_lastUpdate(crl, at);
	ASN1_TIME_set(at, 1800000000);
	X509_CRL_set1_nextUpdate(crl, at);
	X509_CRL_sign(crl, key, EVP_sha256());
	assert_non_null(file);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(PEM_write_X509(file, certificate), 1);
		assert_int_equal(PEM_write_X509_CRL(file, crl), 1);
	}
	fclose(file);
	ASN1_TIME_free(at);
	X509_CRL_free(crl);
}

static struct trust *load(struct err *err)
{
	const char *paths[] = {path};
	struct trust_files files = {paths, paths, 1, 1};
	enum trust_part at_fault;
	int index;
	return trust_load(&files, &at_fault, &index, err);
}

/* In a thread of its own, OpenSSL has no memory to keep errors in when the first allocation fails. */
static void trust_is_whole_or_none(void **state)
{
	(void)state;
	struct trust *seen = NULL;
	unsigned long number = 0, refusals = 0;
	put_twice();
	do {
		struct err err = {.text = ""};
		trust_unref(seen);
		OPENSSL_thread_stop();
		fail_at(++number);
		seen = load(&err);
		failing = 0;
		refusals += seen == NULL;
		if (!seen)
			assert_string_not_equal(err.text, "");
		else
			assert_int_equal(seen->crl_count, 2);
		if (seen)
			assert_int_equal(sk_X509_NAME_num(seen->names), 2);
		if (seen)
			assert_true(seen->has_root);
	} while (has_failed);
	assert_true(refusals > 50);
	trust_unref(seen);
}

static const char config[] =
	"{\"listen\": \"127.0.0.1:1\", \"hosts\": {\"a.test\": {\"mode\": \"passthrough\",\n"
	"\"backend\": \"127.0.0.1:2\", \"max_connections\": 9,\n"
	"\"alpn\": {\"h2\": {\"backend\": \"127.0.0.1:3\"}}}},\n"
	"\"forwards\": [{\"listen\": \"127.0.0.1:4\", \"target\": \"127.0.0.1:5\", \"alpn\": [\"x\", \"y\"]}]}\n";

/* Whoever reads of it is to know that it passes. */
static void on_finding(struct report *report, enum severity severity, const char *text)
{
	(void)severity;
	if (report->passing + 1 < report->errors)
		fail_msg("as if it lasted, before: %s", text);
}

static void assert_whole(const struct routes *routes)
{
	struct route *forward = NULL;
	const struct route *own = routes_find(routes, span_of_string("a.test"), span_of(NULL, 0));
	const struct route *h2 =
		routes_find(routes, span_of_string("a.test"), span_of_string("h2"));
	assert_non_null(routes_listener(routes, "127.0.0.1:4", &forward));
	assert_non_null(forward);
	assert_int_equal(forward->offer_alpn.count, 2);
	assert_non_null(own);
	assert_non_null(own->slots);
	assert_non_null(own->backend);
	assert_non_null(h2);
	assert_non_null(h2->backend);
	assert_non_null(forward->backend);
}

static void a_snapshot_is_whole_or_none(void **state)
{
	struct err err;
	unsigned long number = 0, refusals = 0;
	struct routes_setup setup = {path, tls_store_create(&err), servers_create()};
	FILE *file = fopen(path, "w");
	(void)state;
	assert_non_null(file);
	fputs(config, file);
	fclose(file);
	do {
		struct report report = {.on_finding = on_finding};
		struct path_set paths = {0};
		fail_at(++number);
		struct routes *routes = routes_load(&setup, &paths, &report);
		failing = 0;
		refusals += routes == NULL;
		if (routes) {
			assert_whole(routes);
			tls_store_end(setup.store, true);
		} else {
			assert_true(report.errors > 0);
			assert_true(report_is_passing(&report));
		}
		path_set_finish(&paths);
		routes_unref(routes);
	} while (has_failed);
	assert_true(IS_SANITIZED || refusals > 20);
	tls_store_destroy(setup.store);
	servers_destroy(setup.servers);
}

static int set_up(void **state)
{
	(void)state;
	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1 || mkstemp(path) < 0)
		return -1;
	key = made_key();
	X509 *made = made_certificate(key, names, NAMES);
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	constraints->ca = 0xff;
	X509_add1_ext_i2d(made, NID_basic_constraints, constraints, 1, 0);
	X509_sign(made, key, EVP_sha256());
	BASIC_CONSTRAINTS_free(constraints);
	certificate = reread_certificate(made);
	X509_free(made);
	return certificate ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	X509_free(certificate);
	EVP_PKEY_free(key);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_identity_is_whole_or_none),
		cmocka_unit_test(trust_is_whole_or_none),
		cmocka_unit_test(a_snapshot_is_whole_or_none),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
