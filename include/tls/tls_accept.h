/* The server's side of TLS on a stream whose first bytes were only peeked at. */
#ifndef GATEHOUSE_TLS_TLS_ACCEPT_H
#define GATEHOUSE_TLS_TLS_ACCEPT_H

#include "net/loop_ctx.h"
#include "net/stream.h"
#include "tls/tls_conn.h"
#include "tls/tls_context.h"

/* Takes `lower` over. NULL with `err` when there is no memory; then `lower` is the caller's as before. */
struct stream *tls_accept_stream(struct loop_ctx *ctx, struct stream *lower,
	const struct tls_accept *accept, struct err *err);

/*
 * Would the certificate that this client sent be accepted under that policy, today? NULL, or why not, in
 * words. For a stream of tls_accept_stream with an identity; `context` requests certificates.
 */
const char *tls_accept_revalidate(struct stream *stream, struct tls_context *context);

#endif
