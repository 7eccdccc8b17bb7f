/*
 * A connection to a host by name: its addresses are tried in the resolver's order, and every 250 ms
 * the next one beside those that have not answered yet (RFC 8305 section 5), three at once: then the
 * oldest is closed for the next. The first that answers is used, the others are closed. A dial has no
 * deadline of its own: its owner sets one.
 */
#ifndef GATEHOUSE_DIAL_DIAL_H
#define GATEHOUSE_DIAL_DIAL_H

#include "dial/resolver.h"

struct dial_result {
	int fd;                 /* connected, the callee's from now on; -1: failed, and then: */
	bool unresolved;        /* no address was found to try */
	int error;              /* an errno: of the first attempt that failed; 0 when unresolved */
	const char *why;        /* in words; lent for the call */
	struct address address; /* of the peer, when connected */
};
typedef void dial_done_fn(void *owner, const struct dial_result *result);

struct dial_setup {
	struct ev_loop *loop;
	struct resolver *resolver;       /* lent until the dial is over */
	const struct endpoint *endpoint; /* copied */
	int family;                      /* AF_INET or AF_INET6 alone; AF_UNSPEC: either */
	/* How many descriptors this loop may have beyond one for each dial; at 0 an attempt ends before the
	 * next begins. NULL: no limit. */
	unsigned *spare_sockets;
	dial_done_fn *on_done; /* once, from the loop; the dial is gone by then */
	void *owner;
};

struct dial;

struct dial *dial_start(const struct dial_setup *setup, struct err *err);
void dial_cancel(struct dial *dial); /* without a call; NULL is fine */

/*
 * What it waits for now, for the error of a time-out: "" while the name is being resolved, else the
 * addresses that were tried: "192.0.2.1:443, [2001:db8::1]:443". Valid until the dial continues.
 */
const char *dial_tried(const struct dial *dial);

#endif
