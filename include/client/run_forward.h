/* The forward of `run`: each connection of this user to a local socket gets one to the gateway. */
#ifndef GATEHOUSE_CLIENT_RUN_FORWARD_H
#define GATEHOUSE_CLIENT_RUN_FORWARD_H

#include "client/gateway.h"
#include "client/private_listener.h"
#include "dial/resolver.h"
#include "net/accept.h"
#include "net/loop_ctx.h"

struct forwarded; /* a connection */

struct run_forward {
	struct gateway *gateway; /* borrowed */
	struct private_listener listener;
	struct loop_ctx ctx;
	struct resolver *resolver;
	struct accept_watch acceptor;
	ev_timer drain; /* its end */
	struct forwarded *connections;
	bool draining;
	uint64_t next_refusal_us; /* when the next refused connection may be logged */
};

/* Listens, but does nothing before the loop runs. False with `err`. */
bool run_forward_open(struct run_forward *forward, struct ev_loop *loop, struct gateway *gateway,
	const struct address *address, struct err *err);

/* The command has ended: what its connections still hold is passed on. Runs the loop until all have
 * ended, for at most a second. */
void run_forward_drain(struct run_forward *forward);

/* Ends every connection, and removes the socket. */
void run_forward_close(struct run_forward *forward);

#endif
