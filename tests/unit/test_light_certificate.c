/* Certificates without their public keys, shared issuers, and one of each class on trial. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "made_certificate.h"
#include "tls/cert/issuers.h"
#include "tls/cert/keypair_check.h"
#include "tls/cert/lazy_cert.h"

static X509 *certificate_of(EVP_PKEY *key)
{
	struct made_name names[] = {
		{0, GEN_DNS, BYTES("site.test")},
		{NID_commonName, V_ASN1_UTF8STRING, BYTES("site")},
	};
	X509 *made = made_certificate(key, names, 2);
	if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448"))
		X509_sign(made, key, NULL); /* it hashes by itself */
	return made;
}

static BIO *pem_of(X509 *first, X509 *second)
{
	BIO *pem = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(pem, first);
	if (second)
		PEM_write_bio_X509(pem, second);
	return pem;
}

static X509 *light_of(X509 *certificate)
{
	BIO *pem = pem_of(certificate, NULL);
	X509 *light = lazy_cert_read(pem);
	assert_non_null(light);
	BIO_free(pem);
	return light;
}

static EVP_PKEY *make(const char *type)
{
	if (strncmp(type, "P-", 2) == 0)
		return EVP_EC_gen(type);
	if (strcmp(type, "RSA") == 0)
		return EVP_RSA_gen(2048);
	return EVP_PKEY_Q_keygen(NULL, NULL, type);
}

static void test_knows_its_key(void **state)
{
	static const char *const types[] = {"P-256", "P-384", "P-521", "RSA", "ED25519", "ED448"};
	static const char *const names[] = {"EC", "EC", "EC", "RSA", "ED25519", "ED448"};
	EVP_PKEY *keys[6], *other;
	(void)state;
	for (size_t i = 0; i < 6; i++)
		keys[i] = make(types[i]);
	for (size_t i = 0; i < 6; i++) {
		X509 *made = certificate_of(keys[i]), *light = light_of(made);
		assert_null(X509_get0_pubkey(light));
		assert_string_equal(lazy_cert_key_type(light), names[i]);
		for (size_t other_one = 0; other_one < 6; other_one++)
			assert_int_equal(lazy_cert_is_of(light, keys[other_one]), other_one == i);
		other = make(types[i]);
		assert_false(lazy_cert_is_of(light, other));
		X509 *whole = lazy_cert_whole(light);
		assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(whole), keys[i]), 1);
		assert_int_equal(X509_cmp(whole, made), 0);
		EVP_PKEY_free(other);
		X509_free(whole);
		X509_free(light);
		X509_free(made);
	}
	for (size_t i = 0; i < 6; i++)
		EVP_PKEY_free(keys[i]);
	ERR_clear_error();
}

/* The same key in other bytes: it does not say yes, and the whole certificate can be asked. */
static void test_a_point_in_another_form(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	(void)state;
	EVP_PKEY_set_utf8_string_param(
		key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed");
	X509 *made = certificate_of(key), *light = light_of(made);
	EVP_PKEY_set_utf8_string_param(
		key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
	X509 *whole = lazy_cert_whole(light);
	assert_false(lazy_cert_is_of(light, key));
	assert_int_equal(X509_check_private_key(whole, key), 1);
	X509_free(whole);
	X509_free(light);
	X509_free(made);
	EVP_PKEY_free(key);
}

/* Cut anywhere, or with a byte changed: nothing, or a certificate, and no more than that. */
static void test_broken_ones(void **state)
{
	EVP_PKEY *key = made_key();
	X509 *made = certificate_of(key);
	BIO *pem = pem_of(made, NULL);
	char *text, changed[4096];
	long len = BIO_get_mem_data(pem, &text);
	(void)state;
	for (long i = 0; i < len; i++) {
		memcpy(changed, text, (size_t)len);
		changed[i] ^= 1;
		BIO *cut = BIO_new_mem_buf(text, (int)i),
		    *other = BIO_new_mem_buf(changed, (int)len);
		X509 *none = lazy_cert_read(cut), *some = lazy_cert_read(other);
		assert_true(none == NULL || i >= len - 1);
		if (some) {
			lazy_cert_key_type(some);
			lazy_cert_is_of(some, key);
		}
		X509_free(none);
		X509_free(some);
		BIO_free(cut);
		BIO_free(other);
	}
	ERR_clear_error();
	BIO_free(pem);
	X509_free(made);
	EVP_PKEY_free(key);
}

static void test_issuers_are_read_once(void **state)
{
	EVP_PKEY *key = made_key(), *other_key = made_key();
	X509 *one = certificate_of(key), *other = certificate_of(other_key);
	struct issuers *issuers = issuers_create();
	BIO *first = pem_of(one, other), *second = pem_of(other, one), *alone = pem_of(one, NULL);
	(void)state;
	X509 *a = issuers_read(issuers, first), *b = issuers_read(issuers, first);
	X509 *c = issuers_read(issuers, second), *d = issuers_read(issuers, second);
	X509 *own = issuers_read(NULL, alone);
	assert_null(issuers_read(issuers, first));
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), PEM_R_NO_START_LINE);
	ERR_clear_error();
	assert_ptr_equal(a, d);
	assert_ptr_equal(b, c);
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(own, a);
	issuers_destroy(issuers);
	issuers_destroy(NULL);
	assert_int_equal(X509_cmp(a, one), 0);
	assert_int_equal(X509_cmp(own, one), 0);
	X509 *all[] = {a, b, c, d, own, one, other};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		X509_free(all[i]);
	BIO_free(first);
	BIO_free(second);
	BIO_free(alone);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
}

static bool passes(
	struct keypair_check *trial, EVP_PKEY *key, EVP_PKEY *issuer_key, struct err *err)
{
	X509 *made = certificate_of(key), *issuer = issuer_key ? certificate_of(issuer_key) : NULL;
	struct credential credential = {
		.leaf = light_of(made), .chain = sk_X509_new_null(), .key = key};
	if (issuer)
		sk_X509_push(credential.chain, issuer);
	bool ok = keypair_check_passes(trial, &credential, err);
	sk_X509_pop_free(credential.chain, X509_free);
	X509_free(credential.leaf);
	X509_free(made);
	return ok;
}

/* Of one class or not, and in whatever order: each is judged as it would be alone. */
static void test_a_trial_of_many(void **state)
{
	EVP_PKEY *fit = made_key(), *fit_too = made_key(), *rsa = EVP_RSA_gen(2048);
	EVP_PKEY *weak = EVP_RSA_gen(512);
	struct err err;
	struct keypair_check *trial = keypair_check_create(&err);
	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_true(passes(trial, fit, NULL, &err));
		assert_true(passes(trial, fit_too, NULL, &err));
		assert_true(passes(trial, rsa, NULL, &err));
		assert_false(passes(trial, weak, NULL, &err));
		assert_string_equal(err.text, "OpenSSL refuses it: ee key too small");
		assert_true(passes(trial, fit, rsa, &err));
		assert_false(passes(trial, fit, weak, &err));
		assert_string_equal(err.text, "OpenSSL refuses it: ca key too small");
	}
	keypair_check_destroy(trial);
	keypair_check_destroy(NULL);
	EVP_PKEY_free(fit);
	EVP_PKEY_free(fit_too);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(weak);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_knows_its_key),
		cmocka_unit_test(test_a_point_in_another_form),
		cmocka_unit_test(test_broken_ones),
		cmocka_unit_test(test_issuers_are_read_once),
		cmocka_unit_test(test_a_trial_of_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
