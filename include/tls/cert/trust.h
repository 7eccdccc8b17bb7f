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

/* The flags of a verification: X509_V_FLAG_PARTIAL_CHAIN, and with CRLs `crl_flags`. */
unsigned long trust_flags(const struct trust *trust, unsigned long crl_flags);

/* Whether all files, and the listing of each directory, are still what was loaded. */
bool trust_is_current(struct trust *trust);

#endif
