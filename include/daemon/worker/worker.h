/*
 * A worker: one thread, one loop, its listeners' sockets and its sessions from accept to close. The
 * main thread tells it how things should be from now on; the newest telling counts. No lock is taken
 * for a connection.
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

/* How things should be. `routes` is a reference, which the worker takes over (of the same snapshot as
 * before where only the rest has changed); the listeners are the
 * main thread's and stay until the worker has stopped or no longer lists them (worker_settled). */
struct worker_order {
	enum worker_mode mode;
	struct routes *routes;
	struct listener **listeners;
	unsigned listener_count;
	bool counting; /* somebody looks at the counters: keep them up to the second */
};

/* `on_ended` is sent to its loop, the main one, when the worker's thread is about to end. */
struct worker *worker_create(unsigned index, struct limits *limits, struct ev_loop *main_loop,
	ev_async *on_ended, struct err *err);

/* Starts the thread. */
bool worker_start(struct worker *worker, struct err *err);

/* The array of listeners is copied. */
void worker_tell(struct worker *worker, const struct worker_order *order);

/* Has it done all that it was told? Also the sign of life that the watchdog asks for. */
bool worker_settled(const struct worker *worker);
bool worker_ended(const struct worker *worker);
unsigned worker_sessions(const struct worker *worker);

/* What it has counted; lives as long as the worker. */
const struct counters *worker_counters(const struct worker *worker);

/* Has the task run on the worker's thread. */
void worker_ask(struct worker *worker, struct task *task);

/* Asks for a sign of life; worker_answered tells whether the last asking was answered. */
void worker_ping(struct worker *worker);
bool worker_answered(const struct worker *worker);

/* Waits for its end, which must have been told, and frees it. */
void worker_destroy(struct worker *worker);

#endif
