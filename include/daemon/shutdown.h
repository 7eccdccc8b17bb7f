/* The end of the process: workers accept no more, and have drain_timeout for their sessions. */
#ifndef GATEHOUSE_DAEMON_SHUTDOWN_H
#define GATEHOUSE_DAEMON_SHUTDOWN_H

#include "daemon/worker/workers.h"

#include <ev.h>

struct shutdown {
	struct ev_loop *loop;
	struct workers *workers;
	ev_timer timeout;
};

/* Both are borrowed. */
void shutdown_init(struct shutdown *shutdown, struct ev_loop *loop, struct workers *workers);

/* Ends the sessions that live after `timeout_ms`; 0: now. */
void shutdown_drain(struct shutdown *shutdown, uint64_t timeout_ms);

/* Ends all sessions, and says `why` in the log. */
void shutdown_now(struct shutdown *shutdown, const char *why);

#endif
