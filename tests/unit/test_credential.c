/* Certificates and keys as files: what loads, what does not and which file is at fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "made_certificate.h"
#include "tls/cert/credential.h"
#include "tls/cert/lazy_cert.h"

static char dir[] = "/tmp/test_credential.XXXXXX";
static EVP_PKEY *ec, *other_ec, *rsa;
static X509 *site, *intermediate;

static const char *path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *out = paths[next++ % 4];
	snprintf(out, sizeof paths[0], "%s/%s", dir, name);
	return out;
}

static FILE *open_file(const char *name)
{
	FILE *file = fopen(path(name), "w");
	assert_non_null(file);
	return file;
}

static void write_key(const char *name, EVP_PKEY *key, const char *passphrase)
{
	FILE *file = open_file(name);
	assert_int_equal(PEM_write_PKCS8PrivateKey(file, key, passphrase ? EVP_aes_256_cbc() : NULL,
				 NULL, 0, NULL, (void *)passphrase),
		1);
	fclose(file);
}

static void write_text(const char *name, const char *text)
{
	FILE *file = open_file(name);
	fputs(text, file);
	fclose(file);
}

static void write_certs(const char *name, X509 *first, X509 *second)
{
	FILE *file = open_file(name);
	fputs("what stands before is no matter\n", file);
	PEM_write_X509(file, first);
	if (second)
		PEM_write_X509(file, second);
	fclose(file);
}

static X509 *certificate(EVP_PKEY *key, const char *dns, const char *common_name)
{
	struct made_name names[] = {
		{0, GEN_DNS, span_of_string(dns)},
		{0, GEN_DNS, span_of_string("*.wild.test")},
		{NID_commonName, V_ASN1_UTF8STRING, span_of_string(common_name)},
	};
	return made_certificate(key, names, 3);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	ec = made_key();
	other_ec = made_key();
	rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	site = certificate(ec, "site.test", "common.test");
	intermediate = certificate(other_ec, "ca.test", "ca");
	write_key("ec.key", ec, NULL);
	write_key("other.key", other_ec, NULL);
	write_key("rsa.key", rsa, NULL);
	write_key("locked.key", ec, "secret");
	write_certs("site.crt", site, NULL);
	write_certs("chain.crt", site, intermediate);
	return 0;
}

static int tear_down(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof command, "rm -r %s", dir);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(other_ec);
	EVP_PKEY_free(rsa);
	X509_free(site);
	X509_free(intermediate);
	return system(command);
}

static struct credential *load(const char *cert, const char *key)
{
	enum credential_part at_fault;
	struct err err = {.text = ""};
	struct credential_readers readers = {.keys = key_reader_create()};
	struct credential *credential =
		credential_load(path(cert), path(key), &readers, &at_fault, &err);
	key_reader_destroy(readers.keys);
	if (!credential)
		fail_msg("%s", err.text);
	return credential;
}

static void refuses(
	const char *cert, const char *key, enum credential_part wanted, const char *word)
{
	enum credential_part at_fault;
	struct err err = {.text = ""};
	struct credential_readers readers = {.keys = key_reader_create()};
	assert_null(credential_load(path(cert), path(key), &readers, &at_fault, &err));
	key_reader_destroy(readers.keys);
	if (at_fault != wanted || !strstr(err.text, word) || !strstr(err.text, dir))
		fail_msg("%s, %s: %d, \"%s\"", cert, key, at_fault, err.text);
}

static void test_loads(void **state)
{
	struct credential *credential = load("site.crt", "ec.key");
	(void)state;
	X509 *whole = lazy_cert_whole(credential->leaf);
	assert_int_equal(X509_cmp(whole, site), 0);
	X509_free(whole);
	assert_int_equal(sk_X509_num(credential->chain), 0);
	assert_int_equal(credential->not_before, 1700000000);
	assert_int_equal(credential->not_after, 1800000000);
	assert_string_equal(credential_key_type(credential), "ECDSA");
	assert_ptr_equal(credential_ref(credential), credential);
	credential_unref(credential);
	assert_string_equal(credential_key_type(credential), "ECDSA");
	credential_unref(credential);
	credential_unref(NULL);
}

static void test_with_a_chain(void **state)
{
	struct credential *credential = load("chain.crt", "ec.key");
	(void)state;
	assert_int_equal(sk_X509_num(credential->chain), 1);
	assert_int_equal(X509_cmp(sk_X509_value(credential->chain, 0), intermediate), 0);
	credential_unref(credential);
}

static void test_rsa(void **state)
{
	X509 *made = certificate(rsa, "rsa.test", "rsa");
	(void)state;
	write_certs("rsa.crt", made, NULL);
	struct credential *credential = load("rsa.crt", "rsa.key");
	assert_string_equal(credential_key_type(credential), "RSA");
	credential_unref(credential);
	X509_free(made);
}

static void test_says_what_is_wrong_with_the_certificate(void **state)
{
	(void)state;
	write_text("empty", "");
	write_text("text", "no certificate\n");
	write_text("half", "-----BEGIN CERTIFICATE-----\nMIIB\n");
	write_text("broken", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	refuses("none", "ec.key", CREDENTIAL_CERT, "no such file");
	refuses("", "ec.key", CREDENTIAL_CERT, "is a directory");
	refuses("empty", "ec.key", CREDENTIAL_CERT, "is empty");
	refuses("text", "ec.key", CREDENTIAL_CERT, "no PEM certificate");
	refuses("half", "ec.key", CREDENTIAL_CERT, "no PEM certificate");
	refuses("broken", "ec.key", CREDENTIAL_CERT, "no PEM certificate");
	refuses("ec.key", "ec.key", CREDENTIAL_CERT, "no PEM certificate");
}

static void test_a_broken_chain(void **state)
{
	char command[256];
	(void)state;
	write_certs("cut.crt", site, intermediate);
	snprintf(command, sizeof command, "head -c -40 %s >%s", path("cut.crt"), path("cut2.crt"));
	assert_int_equal(system(command), 0);
	refuses("cut2.crt", "ec.key", CREDENTIAL_CERT, "certificate 2");
}

static void test_says_what_is_wrong_with_the_key(void **state)
{
	(void)state;
	write_text("empty", "");
	refuses("site.crt", "none", CREDENTIAL_KEY, "no such file");
	refuses("site.crt", "empty", CREDENTIAL_KEY, "is empty");
	refuses("site.crt", "site.crt", CREDENTIAL_KEY, "no PEM private key");
	refuses("site.crt", "locked.key", CREDENTIAL_KEY, "passphrase");
	refuses("site.crt", "other.key", CREDENTIAL_KEY, "key of another certificate");
	refuses("site.crt", "rsa.key", CREDENTIAL_KEY, "key of another certificate");
	mkfifo(path("fifo"), 0600);
	refuses("site.crt", "fifo", CREDENTIAL_KEY, "not a regular file"); /* and does not hang */
}

static void test_notices_a_change(void **state)
{
	X509 *renewed = certificate(ec, "renewed.test", "x");
	(void)state;
	write_certs("mine.crt", site, NULL);
	write_key("mine.key", ec, NULL);
	struct credential *credential = load("mine.crt", "mine.key");
	assert_true(credential_is_current(credential));
	write_certs("mine.crt", site, NULL); /* written anew, and the same */
	assert_true(credential_is_current(credential));
	write_certs("mine.crt", renewed, NULL);
	assert_false(credential_is_current(credential));
	write_certs("mine.crt", site, NULL);
	assert_true(credential_is_current(credential));
	write_key("mine.key", other_ec, NULL);
	assert_false(credential_is_current(credential));
	unlink(path("mine.key"));
	assert_false(credential_is_current(credential));
	credential_unref(credential);
	X509_free(renewed);
}

/* The same length and, as far as a clock can tell, the same time. */
static void test_notices_a_change_within_a_tick(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		X509 *made = certificate(ec, i % 2 ? "aaaa.test" : "bbbb.test", "x");
		X509 *next = certificate(ec, i % 2 ? "bbbb.test" : "aaaa.test", "x");
		write_certs("tick.crt", made, NULL);
		struct credential *credential = load("tick.crt", "ec.key");
		write_certs("tick.crt", next, NULL);
		assert_false(credential_is_current(credential));
		credential_unref(credential);
		X509_free(made);
		X509_free(next);
	}
}

static bool covers(const struct credential *credential, const char *text)
{
	struct server_name name;
	assert_null(server_name_parse_pattern(span_of_string(text), &name));
	return credential_covers(credential, &name);
}

static void test_covers_its_names(void **state)
{
	struct credential *credential = load("site.crt", "ec.key");
	(void)state;
	assert_true(covers(credential, "site.test"));
	assert_true(covers(credential, "any.wild.test"));
	assert_true(covers(credential, "*.wild.test"));
	assert_false(covers(credential, "wild.test"));
	assert_false(covers(credential, "more.site.test"));
	assert_false(covers(credential, "common.test")); /* there are alternative names */
	credential_unref(credential);
}

static void test_the_common_name_is_no_name(void **state)
{
	struct made_name name = {NID_commonName, V_ASN1_UTF8STRING, span_of_string("common.test")};
	X509 *made = made_certificate(ec, &name, 1);
	(void)state;
	write_certs("common.crt", made, NULL);
	struct credential *credential = load("common.crt", "ec.key");
	assert_false(covers(credential, "common.test"));
	credential_unref(credential);
	X509_free(made);
}

static bool count_name(void *owner, const struct server_name *name)
{
	unsigned *count = owner;
	assert_true(name->len > 0);
	return ++*count == 1;
}

static void test_visits_until_told_to_stop(void **state)
{
	struct credential *credential = load("site.crt", "ec.key");
	unsigned count = 0;
	(void)state;
	assert_true(credential_each_name(credential, count_name, &count));
	assert_int_equal(count, 1);
	credential_unref(credential);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_with_a_chain),
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_says_what_is_wrong_with_the_certificate),
		cmocka_unit_test(test_a_broken_chain),
		cmocka_unit_test(test_says_what_is_wrong_with_the_key),
		cmocka_unit_test(test_notices_a_change),
		cmocka_unit_test(test_notices_a_change_within_a_tick),
		cmocka_unit_test(test_covers_its_names),
		cmocka_unit_test(test_the_common_name_is_no_name),
		cmocka_unit_test(test_visits_until_told_to_stop),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
