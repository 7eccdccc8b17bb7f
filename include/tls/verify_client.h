/*
 * A client's certificate judged outside of a handshake, as the handshake under a context that asks
 * for certificates would judge it: chain, purpose, depth, key strength, dates, revocation.
 */
#ifndef GATEHOUSE_TLS_VERIFY_CLIENT_H
#define GATEHOUSE_TLS_VERIFY_CLIENT_H

#include "tls/tls_context.h"

/* `chain`: what the client sent behind it. NULL when it is good; else why not, in static words. */
const char *tls_verify_client(struct tls_context *context, X509 *leaf, STACK_OF(X509) *chain);

#endif
