/*
 * How one kind of client is served: certificates, versions, whom to ask for a certificate and whom
 * to believe. One context stands for all routes with the same policy and files, is shared by every
 * worker, and holds the only SSL_CTX of them, made when a first connection needs it: with ten
 * thousand certificates few are in use at a time. What differs from connection to connection (the name,
 * the protocol, the ticket binding) is in `struct tls_accept`.
 */
#ifndef GATEHOUSE_TLS_TLS_CONTEXT_H
#define GATEHOUSE_TLS_TLS_CONTEXT_H

#include "tls/cert/credential.h"
#include "tls/cert/trust.h"
#include "tls/tickets.h"

#include <openssl/ssl.h>

#define CREDENTIALS_MAX 8 /* one of each key type */

enum tls_verify { TLS_VERIFY_NONE, TLS_VERIFY_OPTIONAL, TLS_VERIFY_REQUIRED };

struct tls_policy {
	struct credential *credentials[CREDENTIALS_MAX];
	size_t credential_count;
	uint16_t min_version; /* 0x0303, 0x0304 */
	enum tls_verify verify;
	struct trust *trust; /* NULL exactly when `verify` is none */
	unsigned verify_depth;
	bool refuse_expired_crl;
	bool tickets; /* resumption; never where certificates are asked for */
};

struct tls_context {
	atomic_uint refs;
	_Atomic(SSL_CTX *) ssl_ctx; /* NULL until tls_context_ssl */
	struct tickets *ticket_keys;
	struct tls_policy policy; /* with references of its own */
};

/*
 * For a policy whose credentials passed (tls/trial). `tickets` must outlive the context. The caller has
 * the only reference.
 */
struct tls_context *tls_context_create(
	const struct tls_policy *policy, struct tickets *tickets, struct err *err);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* Lent; the first call, from whichever thread, takes a quarter of a millisecond. NULL: no memory. */
SSL_CTX *tls_context_ssl(struct tls_context *context);

#endif
