/*
 * Something that another thread wants done on a worker's own: a look at its sessions, the end of
 * some. A lot of work is done in parts, so that connections have their turn in between. Errands are
 * the asker's memory, and his again when `done` is called.
 */
#ifndef GATEHOUSE_DAEMON_TASK_H
#define GATEHOUSE_DAEMON_TASK_H

#include "session/service.h"

struct errand {
	/* A part of the work, on the worker's thread; true: that was the last. */
	bool (*run)(struct errand *errand, struct service *service);
	/* On that thread too; or, when the worker had ended before, on any. */
	void (*done)(struct errand *errand);
	struct errand *next;
	struct ev_loop *loop;
	ev_async *wake;
};

/* A worker's mailbox; all zero is an empty one. */
struct errands {
	_Atomic(struct errand *) newest;
};

/* Any thread. */
void errands_add(
	struct errands *errands, struct errand *errand, struct ev_loop *loop, ev_async *wake);

/* The worker's thread: one part of each. Those with more to do come again. */
void errands_run(struct errands *errands, struct service *service);

/* Nobody will run them any more: they are done. Any thread; each is dropped once. */
void errands_drop(struct errands *errands);

#endif
