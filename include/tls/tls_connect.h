/* The client's side of TLS on a connected stream. */
#ifndef GATEHOUSE_TLS_TLS_CONNECT_H
#define GATEHOUSE_TLS_TLS_CONNECT_H

#include "net/loop_ctx.h"
#include "net/stream.h"
#include "tls/tls_client.h"

/*
 * Takes `lower` over, and a reference of the peer. `alpn` is the list to offer, in wire form (a length byte
 * before each id), possibly empty; copied. A server that fails verification fails the handshake, and
 * `error` says what its certificate says. NULL with `err` when there is no memory; then `lower` is the
 * caller's as before.
 */
struct stream *tls_connect_stream(struct loop_ctx *ctx, struct stream *lower, struct tls_peer *peer,
	struct span alpn, struct err *err);

#endif
