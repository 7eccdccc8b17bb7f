/*
 * A certificate with its chain and its private key, as loaded from two PEM files. Immutable once
 * loaded, and counted: contexts and snapshots share it, over reloads too.
 */
#ifndef GATEHOUSE_TLS_CERT_CREDENTIAL_H
#define GATEHOUSE_TLS_CERT_CREDENTIAL_H

#include "tls/cert/file_stamp.h"
#include "tls/cert/issuers.h"
#include "tls/cert/key_reader.h"
#include "wire/server_name.h"

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <time.h>

struct credential {
	atomic_uint refs;
	struct file_stamp cert_stamp, key_stamp;
	X509 *leaf;            /* without its key (tls/cert/lazy_cert) if credential_load read it */
	STACK_OF(X509) *chain; /* what follows the leaf in its file */
	EVP_PKEY *key;
	/* When all of it is valid: the certificate and its chain, less a root in it. */
	time_t not_before, not_after;
	bool is_leaf_first; /* to expire; else one of its chain */
};

enum credential_part { CREDENTIAL_CERT, CREDENTIAL_KEY };

/* What makes reading many of them cheaper than reading each. */
struct credential_readers {
	struct key_reader *keys;
	struct issuers *issuers; /* NULL: chains share nothing */
};

/*
 * NULL with `err` and the file at fault: unreadable, empty, not PEM, an encrypted key, a key of
 * another certificate. The caller has the only reference.
 */
struct credential *credential_load(const char *cert_path, const char *key_path,
	const struct credential_readers *readers, enum credential_part *at_fault, struct err *err);

/* For those who load one by other means: takes both references, and the dates from them. */
void credential_set_leaf(struct credential *credential, X509 *leaf, STACK_OF(X509) *chain);

/* Seconds since 1970; 0 for what is no time. */
time_t credential_time(const ASN1_TIME *asn1);

/* By its names: it is its own issuer. */
bool credential_is_root(const X509 *certificate);

struct credential *credential_ref(struct credential *credential);
void credential_unref(struct credential *credential);

/* Whether both files are still what was loaded. */
bool credential_is_current(struct credential *credential);

/* Gives it to a context. False with OpenSSL's errors. */
bool credential_use(const struct credential *credential, SSL_CTX *ctx);

/* "ECDSA", "RSA", ... : a context takes one of each type. */
const char *credential_key_type(const struct credential *credential);

/* Whether it covers that name, or everything that a "*.name" pattern matches. "*" is never covered. */
bool credential_covers(const struct credential *credential, const struct server_name *name);

/*
 * Calls `visit` for each DNS name of the certificate until it returns true; whether one did. The names
 * are those of the subjectAltName: clients do not read the common name (RFC 9525 section 2).
 */
typedef bool credential_name_fn(void *owner, const struct server_name *name);
bool credential_each_name(
	const struct credential *credential, credential_name_fn *visit, void *owner);

#endif
