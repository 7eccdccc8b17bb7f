/*
 * One connection to a gateway: dials, does the TLS handshake, and then relays between a client's
 * stream and it until both directions have ended.
 */
#ifndef GATEHOUSE_CLIENT_GATEWAY_LINK_H
#define GATEHOUSE_CLIENT_GATEWAY_LINK_H

#include "client/gateway.h"
#include "dial/resolver.h"
#include "net/loop_ctx.h"
#include "net/stream.h"

struct link;

/* `why` is NULL after a clean end in both directions, else one line without newline, valid during the
 * call. The callee destroys the link. */
typedef void link_ended_fn(void *owner, const char *why);

struct link_setup {
	const struct gateway *gateway; /* may change later: the link keeps what it needs */
	struct loop_ctx *ctx;
	struct resolver *resolver;
	struct stream *client; /* the caller's, who ends it after the link */
	link_ended_fn *on_ended;
	void *owner;
};

/* NULL with `err`: no memory. on_ended is called later, never before this returns. */
struct link *link_start(const struct link_setup *setup, struct err *err);

/* Closes the connection without a close_notify. NULL is fine. */
void link_destroy(struct link *link);

/* The client writes nothing more: what waits in its stream is sent, and the end of it. */
void link_flush_input(struct link *link);

/* Has the gateway's kernel acknowledged all that was read from the client? */
bool link_has_delivered(const struct link *link);

/* Did the gateway end the connection by a TLS alert? */
bool link_is_refused(const struct link *link);

#endif
