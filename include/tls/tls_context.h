/*
 * A policy put to use. One context stands for all routes with the same policy and files, is shared by
 * every worker, and holds the only SSL_CTX of them, made when a first connection needs it: with ten
 * thousand certificates few are in use at a time. What differs from connection to connection (the name,
 * the protocol, the ticket binding) is in `struct tls_accept`.
 */
#ifndef GATEHOUSE_TLS_TLS_CONTEXT_H
#define GATEHOUSE_TLS_TLS_CONTEXT_H

#include "tls/tickets.h"
#include "tls/tls_groups.h"
#include "tls/tls_policy.h"

#include <openssl/ssl.h>

struct tls_context {
	atomic_uint refs;
	_Atomic(SSL_CTX *) ssl_ctx; /* NULL until tls_context_ssl */
	struct tickets *ticket_keys;
	const char *groups;       /* of key exchange */
	struct tls_policy policy; /* with references of its own */
};

/*
 * For a policy whose credentials passed (tls/cert/keypair_check). `tickets` and `groups` must outlive the context. The
 * caller has the only reference.
 */
struct tls_context *tls_context_create(const struct tls_policy *policy, struct tickets *tickets,
	const struct tls_groups *groups, struct err *err);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* Lent; the first call, from whichever thread, takes a quarter of a millisecond. NULL: no memory. */
SSL_CTX *tls_context_ssl(struct tls_context *context);

/* Makes it now, before any connection; false with `err` if OpenSSL refuses. For one thread. */
bool tls_context_prepare(struct tls_context *context, struct err *err);

#endif
