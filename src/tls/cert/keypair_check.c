#include "tls/cert/keypair_check.h"

#include "tls/cert/ossl_error.h"

#include <openssl/x509v3.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Key, signature and a chain of some length; what is larger is tried each time. */
#define CLASS_SIZE 512

struct class
{
	STACK_OF(X509) *chain; /* kept, so that no other certificate gets an address of theirs */
	size_t len;
	uint8_t bytes[CLASS_SIZE];
};

struct keypair_check {
	SSL_CTX *ctx;
	void *passed; /* a tree (tsearch) of classes */
};

static int class_compare(const void *one, const void *other)
{
	const struct class *a = one, *b = other;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->bytes, b->bytes, a->len);
}

static void class_free(void *item)
{
	struct class *class = item;
	sk_X509_pop_free(class->chain, X509_free);
	free(class);
}

struct keypair_check *keypair_check_create(struct err *err)
{
	struct keypair_check *check = calloc(1, sizeof *check);
	ossl_error_clear();
	if (check && (check->ctx = SSL_CTX_new(TLS_server_method())) != NULL)
		return check;
	if (check)
		err_set(err, "OpenSSL refuses a TLS context: %s", ossl_error_take());
	else
		err_no_memory(err);
	free(check);
	return NULL;
}

void keypair_check_destroy(struct keypair_check *check)
{
	if (!check)
		return;
	tdestroy(check->passed, class_free);
	SSL_CTX_free(check->ctx);
	free(check);
}

static bool class_add(struct class *class, const void *data, size_t len)
{
	if (len > sizeof class->bytes - class->len)
		return false;
	memcpy(class->bytes + class->len, data, len);
	class->len += len;
	return true;
}

static bool class_add_text(struct class *class, const char *text)
{
	return class_add(class, text, strlen(text) + 1);
}

static bool class_add_key(struct class *class, const EVP_PKEY *key)
{
	char group[80] = "";
	const char *type = EVP_PKEY_get0_type_name(key);
	int bits = EVP_PKEY_get_bits(key);
	size_t len;
	EVP_PKEY_get_group_name(key, group, sizeof group, &len); /* "" where there is none */
	return type && class_add_text(class, type) && class_add(class, &bits, sizeof bits) &&
		class_add_text(class, group);
}

static bool class_add_signature(struct class *class, const X509 *leaf)
{
	const X509_ALGOR *algorithm;
	unsigned char *der = NULL;
	X509_get0_signature(NULL, &algorithm, leaf);
	int len = i2d_X509_ALGOR(algorithm, &der);
	bool ok = len > 0 && class_add(class, der, (size_t)len);
	OPENSSL_free(der);
	return ok;
}

/* The signature of one that signed itself does not count; the name alone does not show that. */
static bool class_add_issuer(struct class *class, const X509 *leaf)
{
	bool itself = X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) == 0;
	if (itself && X509_get_ext_by_NID(leaf, NID_authority_key_identifier, -1) >= 0)
		return false;
	return class_add(class, &itself, sizeof itself);
}

static bool class_add_chain(struct class *class, const STACK_OF(X509) *chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		const X509 *issuer = sk_X509_value(chain, i);
		if (!class_add(class, &issuer, sizeof issuer))
			return false;
	}
	return true;
}

static bool class_of(struct class *class, const struct credential *credential)
{
	class->len = 0;
	class->chain = NULL;
	bool ok = class_add_key(class, credential->key) &&
		class_add_signature(class, credential->leaf) &&
		class_add_issuer(class, credential->leaf) &&
		class_add_chain(class, credential->chain);
	ossl_error_clear();
	return ok;
}

static void note_passed(
	struct keypair_check *check, const struct class *class, STACK_OF(X509) *chain)
{
	struct class *copy = malloc(sizeof *copy);
	if (!copy)
		return;
	*copy = *class;
	copy->chain = X509_chain_up_ref(chain);
	if (!copy->chain || !tsearch(copy, &check->passed, class_compare))
		class_free(copy);
}

bool keypair_check_passes(
	struct keypair_check *check, const struct credential *credential, struct err *err)
{
	struct class class;
	bool has_class = class_of(&class, credential);
	if (has_class && tfind(&class, &check->passed, class_compare))
		return true;
	ossl_error_clear();
	if (!credential_use(credential, check->ctx)) {
		err_set(err, "OpenSSL refuses it: %s", ossl_error_take());
		return false;
	}
	if (has_class)
		note_passed(check, &class, credential->chain);
	return true;
}
