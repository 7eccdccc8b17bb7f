#include "tls/cert/key_reader.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *make(const char *type)
{
	if (strcmp(type, "EC") == 0)
		return EVP_EC_gen("P-256");
	if (strcmp(type, "RSA") == 0)
		return EVP_RSA_gen(2048);
	return EVP_PKEY_Q_keygen(NULL, NULL, type);
}

static EVP_PKEY *read_back(struct key_reader *reader, const char *type, BIO *pem)
{
	char *text;
	long len = BIO_get_mem_data(pem, &text);
	return key_reader_read(reader, type, (const uint8_t *)text, (size_t)len);
}

static void keys_of_every_type_in_any_order_are(void **state)
{
	static const char *const types[] = {"EC", "EC", "RSA", "EC", "ED25519", "RSA", "ED448"};
	struct key_reader *reader = key_reader_create();
	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		EVP_PKEY *key = make(types[i]);
		BIO *pem = BIO_new(BIO_s_mem());
		assert_int_equal(
			PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL), 1);
		EVP_PKEY *back = read_back(reader, types[i], pem);
		assert_non_null(back);
		assert_int_equal(EVP_PKEY_eq(key, back), 1);
		EVP_PKEY_free(back);
		EVP_PKEY_free(key);
		BIO_free(pem);
	}
	key_reader_destroy(reader);
}

/* All of which is for OpenSSL's own reader, and spoils nothing for the next key. */
static void what_it_does_not_know_is_left_to_others(void **state)
{
	struct key_reader *reader = key_reader_create();
	EVP_PKEY *ec = make("EC"), *rsa = make("RSA");
	BIO *usual = BIO_new(BIO_s_mem()), *traditional = BIO_new(BIO_s_mem());
	BIO *encrypted = BIO_new(BIO_s_mem());
	(void)state;
	PEM_write_bio_PKCS8PrivateKey(usual, ec, NULL, NULL, 0, NULL, NULL);
	PEM_write_bio_PrivateKey_traditional(traditional, ec, NULL, NULL, 0, NULL, NULL);
	PEM_write_bio_PKCS8PrivateKey(encrypted, ec, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	assert_null(read_back(reader, "EC", traditional));
	assert_null(read_back(reader, "EC", encrypted));
	assert_null(read_back(reader, "RSA", usual)); /* of another type than its certificate */
	assert_null(read_back(reader, NULL, usual));
	assert_null(key_reader_read(reader, "EC", (const uint8_t *)"no key", 6));
	EVP_PKEY *back = read_back(reader, "EC", usual);
	assert_non_null(back);
	EVP_PKEY_free(back);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	BIO_free(usual);
	BIO_free(traditional);
	BIO_free(encrypted);
	key_reader_destroy(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_every_type_in_any_order_are),
		cmocka_unit_test(what_it_does_not_know_is_left_to_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
