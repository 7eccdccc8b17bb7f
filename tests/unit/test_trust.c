/* Whom to believe: what is taken from files and directories, and that nothing unsound is. */
#include "made_certificate.h"
#include "tls/cert/trust.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test_trust.XXXXXX";
static EVP_PKEY *key;
static X509 *ca;

static const char *path_of(const char *name)
{
	static char path[4][128];
	static unsigned turn;
	char *out = path[turn++ % 4];
	snprintf(out, sizeof path[0], "%s/%s", folder, name);
	return out;
}

static void put_text(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static X509 *make_ca(bool is_ca)
{
	static const struct made_name name = {
		NID_commonName, V_ASN1_UTF8STRING, {(const uint8_t *)"ca", 2}};
	X509 *made = made_certificate(key, &name, 1);
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	constraints->ca = is_ca ? 0xff : 0;
	X509_add1_ext_i2d(made, NID_basic_constraints, constraints, 1, 0);
	X509_sign(made, key, EVP_sha256());
	BASIC_CONSTRAINTS_free(constraints);
	return made;
}

static void put_certificate(const char *name, X509 *certificate, unsigned times)
{
	FILE *file = fopen(path_of(name), "w");
	assert_non_null(file);
	for (unsigned i = 0; i < times; i++)
		assert_int_equal(PEM_write_X509(file, certificate), 1);
	fclose(file);
}

static void put_crl(const char *name, time_t next_update, bool is_der)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *time_ = ASN1_TIME_set(NULL, 1700000000);
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
	X509_CRL_set1_lastUpdate(crl, time_);
	ASN1_TIME_set(time_, next_update);
	X509_CRL_set1_nextUpdate(crl, time_);
	X509_CRL_sign(crl, key, EVP_sha256());
	FILE *file = fopen(path_of(name), "w");
	assert_non_null(file);
	assert_int_equal(is_der ? i2d_X509_CRL_fp(file, crl) : PEM_write_X509_CRL(file, crl), 1);
	fclose(file);
	ASN1_TIME_free(time_);
	X509_CRL_free(crl);
}

static struct trust *load(const char *ca_path, const char *crl_path, struct err *err)
{
	const char *cas[] = {ca_path}, *crls[] = {crl_path};
	struct trust_files files = {cas, crls, 1, crl_path ? 1 : 0};
	enum trust_part at_fault;
	int index;
	return trust_load(&files, &at_fault, &index, err);
}

static void assert_refused(const char *ca_path, const char *crl_path, const char *why)
{
	struct err err = {.text = ""};
	assert_null(load(ca_path, crl_path, &err));
	if (!strstr(err.text, why))
		fail_msg("\"%s\" lacks \"%s\"", err.text, why);
}

static void takes_files_and_directories(void **state)
{
	(void)state;
	struct err err;
	put_certificate("ca.pem", ca, 1);
	struct trust *trust = load(path_of("ca.pem"), NULL, &err);
	assert_non_null(trust);
	assert_true(trust->has_root);
	assert_int_equal(sk_X509_NAME_num(trust->names), 1);
	assert_int_equal(trust_flags(trust), 0);
	assert_true(trust_is_current(trust));
	trust_unref(trust);

	mkdir(path_of("cas"), 0755);
	put_certificate("cas/one.crt", ca, 1);
	put_text("cas/README", "not looked at");
	trust = load(path_of("cas"), NULL, &err);
	assert_non_null(trust);
	put_certificate("cas/two.crt", ca, 1);
	assert_false(trust_is_current(trust));
	trust_unref(trust);
}

static void takes_revocation_lists_in_both_forms(void **state)
{
	(void)state;
	struct err err;
	put_certificate("ca.pem", ca, 1);
	for (int is_der = 0; is_der <= 1; is_der++) {
		put_crl("list.crl", 1800000000, is_der);
		struct trust *trust = load(path_of("ca.pem"), path_of("list.crl"), &err);
		assert_non_null(trust);
		assert_int_equal(trust->crl_count, 1);
		assert_int_equal(trust->crls[0].next_update, 1800000000);
		assert_string_equal(trust->crls[0].path, path_of("list.crl"));
		assert_int_equal(trust_flags(trust), TRUST_CRL_FLAGS);
		trust_unref(trust);
	}
}

static void refuses_what_it_cannot_use(void **state)
{
	(void)state;
	X509 *leaf = make_ca(false);
	put_certificate("ca.pem", ca, 1);
	put_certificate("leaf.pem", leaf, 1);
	put_text("empty.pem", "");
	put_text("garbage.pem", "garbage");
	put_text("half.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
	mkdir(path_of("nothing"), 0755);
	assert_refused(path_of("none.pem"), NULL, "no such file");
	assert_refused(path_of("empty.pem"), NULL, "is empty");
	assert_refused(path_of("garbage.pem"), NULL, "no PEM certificate");
	assert_refused(path_of("half.pem"), NULL, "no PEM certificate");
	assert_refused(path_of("leaf.pem"), NULL, "no CA's");
	assert_refused(path_of("nothing"), NULL, "no .pem, .crt or .cer");
	assert_refused(path_of("ca.pem"), path_of("ca.pem"), "no CRL");
	assert_refused(path_of("ca.pem"), path_of("empty.pem"), "is empty");
	X509_free(leaf);
}

/* Half of what a file says is not what it says. */
static void refuses_a_file_that_ends_in_something_else(void **state)
{
	(void)state;
	put_certificate("two.pem", ca, 2);
	FILE *file = fopen(path_of("two.pem"), "a");
	assert_non_null(file);
	fputs("-----BEGIN CERTIFICATE-----\nMIIB\n", file);
	fclose(file);
	assert_refused(path_of("two.pem"), NULL, "certificate 3 cannot be read");
}

static int set_up(void **state)
{
	(void)state;
	key = made_key();
	ca = make_ca(true);
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"ca.pem", "leaf.pem", "empty.pem", "garbage.pem",
		"half.pem", "two.pem", "list.crl", "cas/one.crt", "cas/two.crt", "cas/README"};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(path_of(names[i]));
	rmdir(path_of("cas"));
	rmdir(path_of("nothing"));
	X509_free(ca);
	EVP_PKEY_free(key);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_files_and_directories),
		cmocka_unit_test(takes_revocation_lists_in_both_forms),
		cmocka_unit_test(refuses_what_it_cannot_use),
		cmocka_unit_test(refuses_a_file_that_ends_in_something_else),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
