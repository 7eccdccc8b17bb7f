/*
 * A worker: one thread, one loop, its listeners' sockets and its sessions from accept to close. The
 * main thread gives it orders, which never wait and, once created, never fail; the newest of each
 * kind counts. No lock is taken for a connection.
 */
#ifndef GATEHOUSE_DAEMON_WORKER_WORKER_H
#define GATEHOUSE_DAEMON_WORKER_WORKER_H

#include "daemon/worker/task.h"
#include "net/listener.h"
#include "session/service.h"

struct worker;

enum worker_mode {
	WORKER_SERVE,
	WORKER_DRAIN, /* accept no more; end when the last session has */
	WORKER_STOP,  /* end now */
};

/* A snapshot and the listeners to accept on. */
struct worker_order {
	struct routes *routes; /* a reference */
	bool counting;         /* keep the counters up to the second */
	unsigned listener_count;
	struct listener *listeners[]; /* the main thread's; stay until worker_is_settled */
};

/* With room for so many listeners, the rest zero; NULL: out of memory. */
struct worker_order *worker_order_create(unsigned listeners);
void worker_order_free(struct worker_order *order); /* NULL is fine */

/* `on_ended` is sent when the worker's thread is about to end. */
struct worker *worker_create(
	unsigned index, struct limits *limits, struct wakeup *on_ended, struct err *err);

/* Starts the thread. */
bool worker_start(struct worker *worker, struct err *err);

/* Orders. */
void worker_follow(struct worker *worker, struct worker_order *order); /* takes it over */
void worker_set_mode(struct worker *worker, enum worker_mode mode);
void worker_revalidate(struct worker *worker); /* the wall clock was set */

/* Has it carried out all orders? */
bool worker_is_settled(const struct worker *worker);
bool worker_has_ended(const struct worker *worker);
unsigned worker_sessions(const struct worker *worker);

/* What it has counted; lives as long as the worker. */
const struct counters *worker_counters(const struct worker *worker);

/* Runs the task on the worker's thread. */
void worker_add_task(struct worker *worker, struct task *task);

/* Requests a sign of life; worker_has_answered: it has come since the last request. */
void worker_ping(struct worker *worker);
bool worker_has_answered(const struct worker *worker);

/* Waits for its end, which must be ordered, and frees it. NULL is fine. */
void worker_destroy(struct worker *worker);

#endif
