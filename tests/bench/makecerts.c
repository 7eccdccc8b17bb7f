/*
 * Certificates for the bench, fast: self-signed ECDSA P-256 pairs, and a CA with one client.
 *
 * usage: makecerts basic DIR            server.{crt,key,pem} rsa.{crt,key} ca.{crt,key}
 * client.{crt,key} makecerts many DIR COUNT       NNNNNN.{crt,key} for hNNNNNNN.bench.test
 *        makecerts one DIR NUMBER       that pair again, with a new key
 *
 * A .pem holds certificate and key together, as HAProxy and hitch want it; `many` and `one` also
 * write DIR/pem/NNNNNN.pem.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "makecerts: %s\n", what);
	exit(1);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (!extension || !X509_add_ext(certificate, extension, -1))
		fail(value);
	X509_EXTENSION_free(extension);
}

static X509 *blank_certificate(EVP_PKEY *key, const char *name)
{
	X509 *certificate = X509_new();
	uint64_t serial = 0;

	if (!certificate || RAND_bytes((unsigned char *)&serial, 7) != 1)
		fail("X509_new");
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * 30);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0);
	return certificate;
}

/* For the key, which it takes over. issuer NULL: self-signed. */
static struct identity certify(
	EVP_PKEY *key, const char *name, bool is_ca, const struct identity *issuer)
{
	struct identity made = {.key = key};
	char names[256];

	if (!made.key)
		fail("no key");
	made.certificate = blank_certificate(made.key, name);
	if (!issuer)
		issuer = &made;
	X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer->certificate));
	add_extension(made.certificate, issuer->certificate, NID_basic_constraints,
		is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	snprintf(names, sizeof(names), "DNS:%s", name);
	add_extension(made.certificate, issuer->certificate, NID_subject_alt_name, names);
	if (!X509_sign(made.certificate, issuer->key, EVP_sha256()))
		fail("X509_sign");
	return made;
}

static struct identity make_identity(const char *name, bool is_ca, const struct identity *issuer)
{
	return certify(EVP_EC_gen("P-256"), name, is_ca, issuer);
}

static void free_identity(struct identity *identity)
{
	X509_free(identity->certificate);
	EVP_PKEY_free(identity->key);
}

static FILE *open_file(const char *directory, const char *name, const char *extension)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s.%s", directory, name, extension);
	FILE *file = fopen(path, "w");
	if (!file)
		fail(path);
	return file;
}

static void close_file(FILE *file)
{
	if (fclose(file) != 0)
		fail("cannot write");
}

static void write_pair(const struct identity *identity, const char *directory, const char *name)
{
	FILE *file = open_file(directory, name, "crt");

	PEM_write_X509(file, identity->certificate);
	close_file(file);
	file = open_file(directory, name, "key");
	PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
	close_file(file);
}

static void write_together(const struct identity *identity, const char *directory, const char *name)
{
	FILE *file = open_file(directory, name, "pem");

	PEM_write_X509(file, identity->certificate);
	PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
	close_file(file);
}

static void make_basic(const char *directory)
{
	struct identity server = make_identity("app.bench.test", false, NULL);
	struct identity ca = make_identity("bench-ca", true, NULL);
	struct identity client = make_identity("bench-client", false, &ca);

	struct identity rsa = certify(EVP_RSA_gen(3072), "app.bench.test", false, NULL);

	write_pair(&rsa, directory, "rsa");
	free_identity(&rsa);
	write_pair(&server, directory, "server");
	write_together(&server, directory, "server");
	write_pair(&ca, directory, "ca");
	write_pair(&client, directory, "client");
	free_identity(&server);
	free_identity(&client);
	free_identity(&ca);
}

static void make_numbered(const char *directory, unsigned number)
{
	char file[32], host[64], together[4096];

	snprintf(file, sizeof(file), "%06u", number);
	snprintf(host, sizeof(host), "h%07u.bench.test", number);
	snprintf(together, sizeof(together), "%s/pem", directory);
	mkdir(together, 0700);
	struct identity identity = make_identity(host, false, NULL);
	write_pair(&identity, directory, file);
	write_together(&identity, together, file);
	free_identity(&identity);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "basic") == 0) {
		make_basic(argv[2]);
		return 0;
	}
	if (argc != 4 || (strcmp(argv[1], "many") != 0 && strcmp(argv[1], "one") != 0)) {
		fprintf(stderr, "usage: makecerts basic DIR | many DIR COUNT | one DIR NUMBER\n");
		return 2;
	}
	unsigned number = (unsigned)strtoul(argv[3], NULL, 10);
	if (strcmp(argv[1], "one") == 0) {
		make_numbered(argv[2], number);
		return 0;
	}
	for (unsigned i = 0; i < number; i++)
		make_numbered(argv[2], i);
	return 0;
}
