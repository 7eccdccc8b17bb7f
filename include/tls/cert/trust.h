/*
 * What to trust: CA certificates from PEM files or directories of them, and what those CAs have
 * revoked (PEM or DER). Immutable once loaded, and counted. The system's roots never replace
 * something that could not be read.
 */
#ifndef GATEHOUSE_TLS_CERT_TRUST_H
#define GATEHOUSE_TLS_CERT_TRUST_H

#include "tls/cert/file_stamp.h"

#include <openssl/x509.h>
#include <stdatomic.h>
#include <time.h>

struct trust_crl {
	const char *path;   /* of its file; of its stamp */
	time_t next_update; /* 0: it does not say */
};

struct trust {
	atomic_uint refs;
	struct file_stamp *stamps; /* every file and directory read, sorted as they were named */
	size_t stamp_count;
	X509_STORE *store;
	STACK_OF(X509_NAME) *names; /* of the CAs, for the certificate request */
	bool has_root; /* a self-signed CA is among them; without any, an intermediate is an anchor */
	struct trust_crl *crls;
	size_t crl_count;
};

enum trust_part { TRUST_CA, TRUST_CRL };

struct trust_files {
	const char *const *ca, *const *crl;
	size_t ca_count, crl_count;
};

/* NULL with `err`, and which list and index is at fault. The caller has the only reference. */
struct trust *trust_load(
	const struct trust_files *files, enum trust_part *at_fault, int *index, struct err *err);
struct trust *trust_ref(struct trust *trust);
void trust_unref(struct trust *trust);

/* The flags of a verification: X509_V_FLAG_PARTIAL_CHAIN, and with CRLs TRUST_CRL_FLAGS. */
unsigned long trust_flags(const struct trust *trust);

/*
 * With CRLs every level of a chain is looked for in one. What passes all the same of what OpenSSL found
 * (an X509_V_ERR_...): a level above the leaf whose CA publishes none, and, unless it is to be refused, a
 * CRL that has expired.
 */
#define TRUST_CRL_FLAGS (X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL)
bool trust_forgives(bool refuse_expired_crl, int error, int depth);
bool trust_has_expired_crl(const struct trust *trust, time_t now);

/* Whether all files, and the listing of each directory, are still what was loaded. */
bool trust_is_current(struct trust *trust);

#endif
