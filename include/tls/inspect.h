/*
 * A client's certificate looked at without a connection: from a PEM file, judged as a handshake
 * would judge it. For `explain`.
 */
#ifndef GATEHOUSE_TLS_INSPECT_H
#define GATEHOUSE_TLS_INSPECT_H

#include "tls/cert/identity.h"
#include "tls/tls_context.h"

struct client_certificate;

/*
 * The first certificate of the file, and behind it what a client would send along.
 * NULL with `err`.
 */
struct client_certificate *client_certificate_read(const char *path, struct err *err);
void client_certificate_free(struct client_certificate *certificate); /* NULL is fine */

/* Lent by the certificate. */
const struct identity *client_certificate_identity(const struct client_certificate *certificate);

/*
 * Verifies it against the trust of a context that asks for certificates: chain, purpose, depth,
 * dates, revocation. NULL when it is good; else why not, in static words.
 */
const char *client_certificate_verify(
	const struct client_certificate *certificate, struct tls_context *context);

#endif
