/*
 * What the sessions of one worker share. The worker (daemon/worker) makes it, and replaces `routes` when
 * a reload is published; sessions only use it. Belongs to one thread; `limits` is every worker's.
 */
#ifndef GATEHOUSE_SESSION_SERVICE_H
#define GATEHOUSE_SESSION_SERVICE_H

#include "dial/resolver.h"
#include "net/loop_ctx.h"
#include "route/routes.h"
#include "session/log_ratelimit.h"
#include "session/sources.h"
#include "stats/counters.h"
#include "stats/route_stats.h"

struct session;
struct session_iter;

/* Counted by all workers together. */
struct limits {
	atomic_uint connections;
	unsigned workers;
	unsigned connections_max;        /* by the descriptors */
	unsigned pipes_max, dialing_max; /* of each worker: pipes; further attempts of dials */
	size_t held_max;                 /* of each worker: bytes that wait for slow readers */
	/*
	 * Returns a connection of that listener to the process before this one, which drains
	 * (daemon/older_process). Takes the descriptor; false: no memory. Only if has_older_process.
	 */
	bool (*return_connection)(
		void *older_process, int fd, const char *listener, const struct sockaddr *source);
	void *older_process;
	atomic_bool has_older_process;
	bool is_sandboxed;   /* then each worker gives up more (sandbox/sandbox.h) */
	atomic_bool drained; /* by the administrator: no host takes new connections */
	struct sources *sources;
	struct cancel_keys *cancel_keys;
	struct route_stats_table *route_stats;
};

/* Handshakes of a worker's clients (session/handshakes); all zero at first. */
struct handshakes {
	unsigned active, waiting;
	double tokens;                /* for handshakes that may begin now */
	ev_tstamp filled_at;          /* loop_ctx_now; 0: never */
	struct session *first, *last; /* of those that wait */
};

/* What is done once a second (session/session_stats). */
struct session_stats {
	ev_timer tick;
	ev_check woken;
	ev_prepare sleep;
	uint64_t woken_us;
	unsigned ticks;
	bool is_on, is_folding;
	struct session_iter {
		struct service *service;
		struct session *at;        /* the next one */
		struct session_iter *next; /* in service->iters */
	} iter;
};

struct service {
	struct loop_ctx ctx;
	struct resolver *resolver;
	struct routes *routes; /* what a session begins with; a reference */
	struct limits *limits;
	struct log_ratelimit log_ratelimit;
	unsigned index; /* of the worker */
	struct counters *counters;
	struct session_stats session_stats;
	struct handshakes handshakes;
	struct client_hello hello;  /* within one callback: from sniff to choose_route */
	ev_timer revalidation;      /* runs while there are sessions to judge again */
	struct session *sessions;   /* all that live, newest first */
	atomic_uint count;          /* of them; written by this thread alone */
	struct session_iter *iters; /* over these sessions, in progress */
	void (*on_session_gone)(struct service *service); /* after each end */
	bool has_backlog; /* connections wait in the kernel's queue for their turn */
};

/* For every thread. */
static inline unsigned service_sessions(const struct service *service)
{
	return atomic_load_explicit(&service->count, memory_order_relaxed);
}

#endif
