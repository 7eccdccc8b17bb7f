/*
 * Two pumps between a client and its upstream, until both directions have ended or one breaks. What
 * to poll for is derived in one place from what the pumps need.
 *
 * The streams stay the caller's; the relay drives them while it lives.
 */
#ifndef GATEHOUSE_NET_RELAY_H
#define GATEHOUSE_NET_RELAY_H

#include "net/pump.h"

struct relay;

/*
 * Called once, as the relay's last act: `broken` is NULL after a clean end in both directions, else
 * the stream that broke (its `error` says why). It may free the relay.
 */
typedef void relay_ended_fn(void *owner, struct stream *broken);

struct relay {
	struct loop_ctx *ctx;
	struct pump up, down; /* client to upstream; upstream to client */
	int credit;        /* what its bytes and its patience have earned, less what it has cost */
	unsigned round;    /* of loop_ctx_has_to_wait */
	uint64_t paid;     /* bytes that the credit has */
	ev_tstamp paid_at; /* the time that the credit has */
	ev_tstamp active_at; /* when bytes last moved; loop_ctx_now */
	bool is_unwatched;   /* it broke because the kernel does not watch a stream */
	relay_ended_fn *on_ended;
	void *owner;
};

/* Drives the streams from now on, and moves what waits already; may call on_ended at once. */
void relay_start(struct relay *relay, struct loop_ctx *ctx, struct stream *client,
	struct stream *upstream, relay_ended_fn *on_ended, void *owner);

/* Have both directions ended as they should? A relay that is finished before that cuts them off. */
bool relay_has_ended(const struct relay *relay);

/* Frees what it holds; the streams watch for nothing. */
void relay_finish(struct relay *relay);

#endif
