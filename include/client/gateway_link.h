/*
 * One connection through a gateway: dials it, shakes hands, and then joins a client's stream to it
 * until both directions have ended.
 */
#ifndef GATEHOUSE_CLIENT_GATEWAY_LINK_H
#define GATEHOUSE_CLIENT_GATEWAY_LINK_H

#include "client/gateway.h"
#include "dial/resolver.h"
#include "net/loop_ctx.h"
#include "net/stream.h"

struct link;

/* `why` is NULL after a clean end in both directions, else one line without newline; lent. The
 * callee destroys the link. */
typedef void link_ended_fn(void *owner, const char *why);

struct link_setup {
	const struct gateway *gateway; /* as it is now: the link keeps what it needs of it */
	struct loop_ctx *ctx;
	struct resolver *resolver;
	struct stream *client; /* the caller's, who ends it after the link */
	link_ended_fn *on_ended;
	void *owner;
};

/* NULL with `err`: no memory. on_ended is called later, never before this returns. */
struct link *link_start(const struct link_setup *setup, struct err *err);

/* Closes what is open, without a word. NULL is fine. */
void link_destroy(struct link *link);

/* Nothing more will come of the client: what it has said is passed on, with an end behind it. */
void link_say_rest(struct link *link);

#endif
