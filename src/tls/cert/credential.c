#include "tls/cert/credential.h"

#include "tls/cert/lazy_cert.h"
#include "tls/cert/ossl_error.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

time_t credential_time(const ASN1_TIME *asn1)
{
	struct tm parts;
	return ASN1_TIME_to_tm(asn1, &parts) == 1 ? timegm(&parts) : 0;
}

bool credential_is_root(const X509 *certificate)
{
	return X509_NAME_cmp(
		       X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

static void narrow_dates(struct credential *credential, const X509 *certificate)
{
	time_t from = credential_time(X509_get0_notBefore(certificate));
	time_t until = credential_time(X509_get0_notAfter(certificate));
	if (from > credential->not_before)
		credential->not_before = from;
	if (until < credential->not_after) {
		credential->not_after = until;
		credential->is_leaf_first = false;
	}
}

/* A root that is sent along is not looked at by clients: they have it, or do not trust it. */
static void set_dates(struct credential *credential)
{
	credential->not_before = credential_time(X509_get0_notBefore(credential->leaf));
	credential->not_after = credential_time(X509_get0_notAfter(credential->leaf));
	credential->is_leaf_first = true;
	for (int i = 0; i < sk_X509_num(credential->chain); i++) {
		const X509 *issuer = sk_X509_value(credential->chain, i);
		if (!credential_is_root(issuer))
			narrow_dates(credential, issuer);
	}
}

void credential_set_leaf(struct credential *credential, X509 *leaf, STACK_OF(X509) *chain)
{
	credential->leaf = leaf;
	credential->chain = chain;
	set_dates(credential);
}

/* A PEM reader ends with "no start line", which is no error once something was read. */
static bool read_chain(
	struct credential *credential, BIO *pem, struct issuers *issuers, struct err *err)
{
	ERR_clear_error();
	X509 *leaf = lazy_cert_read(pem), *next;
	STACK_OF(X509) *chain = leaf ? sk_X509_new_null() : NULL;
	if (!chain) {
		err_set(err, "no PEM certificate in it (%s)", ossl_error_take());
		X509_free(leaf);
		return false;
	}
	bool is_kept = true;
	while (is_kept && (next = issuers_read(issuers, pem)) != NULL) {
		is_kept = sk_X509_push(chain, next) > 0;
		if (!is_kept)
			X509_free(next);
	}
	credential_set_leaf(credential, leaf, chain);
	if (!is_kept) {
		err_no_memory(err);
		return false;
	}
	unsigned long code = ERR_peek_last_error();
	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return true;
	}
	err_set(err, "certificate %d of its chain cannot be read (%s)", sk_X509_num(chain) + 2,
		ossl_error_take());
	return false;
}

static bool parse_cert(struct credential *credential, uint8_t *data, size_t len,
	const struct credential_readers *readers, struct err *err)
{
	BIO *pem = BIO_new_mem_buf(data, (int)len);
	err_no_memory(err);
	bool ok = pem && read_chain(credential, pem, readers->issuers, err);
	BIO_free(pem);
	return ok;
}

/* A daemon has no terminal to ask at: a key that needs a passphrase is refused. */
static int on_passphrase(char *out, int size, int writing, void *is_asked)
{
	(void)out, (void)size, (void)writing;
	*(bool *)is_asked = true;
	return -1;
}

static bool parse_key(struct credential *credential, uint8_t *data, size_t len,
	const struct credential_readers *readers, struct err *err)
{
	bool is_asked = false;
	const char *type = lazy_cert_key_type(credential->leaf);
	credential->key = key_reader_read(readers->keys, type, data, len);
	if (credential->key)
		return true;
	BIO *pem = BIO_new_mem_buf(data, (int)len);
	ERR_clear_error();
	if (pem)
		credential->key = PEM_read_bio_PrivateKey(pem, NULL, on_passphrase, &is_asked);
	BIO_free(pem);
	if (credential->key)
		return true;
	const char *reason = ossl_error_take();
	if (is_asked)
		err_set(err, "is encrypted, expected a key without a passphrase");
	else
		err_set(err, "no PEM private key in it (%s)", reason);
	return false;
}

typedef bool parse_fn(struct credential *, uint8_t *data, size_t len,
	const struct credential_readers *, struct err *);

static bool load_part(struct credential *credential, struct file_stamp *stamp, const char *path,
	const struct credential_readers *readers, parse_fn *parse, struct err *err)
{
	uint8_t *data;
	size_t len;
	bool ok = file_stamp_read(stamp, path, &data, &len, err);
	if (ok) {
		ok = parse(credential, data, len, readers, err);
		OPENSSL_cleanse(data, len);
		free(data);
	}
	if (!ok)
		err_prefix(err, "\"%s\": ", path);
	return ok;
}

static bool is_pair(const struct credential *credential)
{
	if (lazy_cert_is_of(credential->leaf, credential->key))
		return true;
	ERR_clear_error();
	X509 *whole = lazy_cert_whole(credential->leaf);
	bool same = whole && X509_check_private_key(whole, credential->key) == 1;
	X509_free(whole);
	ossl_error_clear();
	return same;
}

static bool check_pair(struct credential *credential, const char *cert_path, struct err *err)
{
	if (is_pair(credential))
		return true;
	err_set(err, "\"%s\": is the key of another certificate than \"%s\"",
		credential->key_stamp.path, cert_path);
	return false;
}

struct credential *credential_load(const char *cert_path, const char *key_path,
	const struct credential_readers *readers, enum credential_part *at_fault, struct err *err)
{
	struct credential *credential = calloc(1, sizeof *credential);
	*at_fault = CREDENTIAL_CERT;
	if (!credential) {
		err_no_memory(err);
		return NULL;
	}
	credential->refs = 1;
	if (!load_part(credential, &credential->cert_stamp, cert_path, readers, parse_cert, err))
		goto unref;
	*at_fault = CREDENTIAL_KEY;
	if (!load_part(credential, &credential->key_stamp, key_path, readers, parse_key, err) ||
		!check_pair(credential, cert_path, err))
		goto unref;
	return credential;
unref:
	credential_unref(credential);
	return NULL;
}

struct credential *credential_ref(struct credential *credential)
{
	atomic_fetch_add(&credential->refs, 1);
	return credential;
}

void credential_unref(struct credential *credential)
{
	if (!credential || atomic_fetch_sub(&credential->refs, 1) > 1)
		return;
	file_stamp_finish(&credential->cert_stamp);
	file_stamp_finish(&credential->key_stamp);
	X509_free(credential->leaf);
	sk_X509_pop_free(credential->chain, X509_free);
	EVP_PKEY_free(credential->key);
	free(credential);
}

bool credential_is_current(struct credential *credential)
{
	return file_stamp_holds(&credential->cert_stamp) &&
		file_stamp_holds(&credential->key_stamp);
}

bool credential_use(const struct credential *credential, SSL_CTX *ctx)
{
	X509 *whole = lazy_cert_whole(credential->leaf);
	bool ok = whole &&
		SSL_CTX_use_cert_and_key(ctx, whole, credential->key, credential->chain, 1) == 1;
	X509_free(whole);
	return ok;
}

const char *credential_key_type(const struct credential *credential)
{
	switch (EVP_PKEY_get_base_id(credential->key)) {
	case EVP_PKEY_EC:
		return "ECDSA";
	case EVP_PKEY_RSA:
		return "RSA";
	case EVP_PKEY_RSA_PSS:
		return "RSA-PSS";
	case EVP_PKEY_ED25519:
		return "Ed25519";
	case EVP_PKEY_ED448:
		return "Ed448";
	default:
		return "other";
	}
}

static bool visit_name(const ASN1_STRING *text, credential_name_fn *visit, void *owner)
{
	struct server_name name;
	struct span raw = span_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
	return server_name_parse_pattern(raw, &name) == NULL && visit(owner, &name);
}

bool credential_each_name(
	const struct credential *credential, credential_name_fn *visit, void *owner)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(credential->leaf, NID_subject_alt_name, NULL, NULL);
	bool done = false;
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && !done; i++) {
		int type;
		const ASN1_STRING *text =
			GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		done = type == GEN_DNS && visit_name(text, visit, owner);
	}
	GENERAL_NAMES_free(names);
	return done;
}

static bool pattern_covers(void *owner, const struct server_name *pattern)
{
	const struct server_name *name = owner;
	return strcmp(pattern->text, name->text) == 0 || server_name_covered(pattern, name);
}

bool credential_covers(const struct credential *credential, const struct server_name *name)
{
	return credential_each_name(credential, pattern_covers, (void *)name);
}
