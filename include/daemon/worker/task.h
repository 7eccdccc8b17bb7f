/*
 * Work that another thread wants done on a worker's thread: reading its sessions, ending some. A lot
 * of work is done in parts, so that connections have their turn in between. A task is the caller's
 * memory, and the caller's again when `done` is called.
 */
#ifndef GATEHOUSE_DAEMON_WORKER_TASK_H
#define GATEHOUSE_DAEMON_WORKER_TASK_H

#include "daemon/worker/wakeup.h"
#include "session/service.h"

struct task {
	/* A part of the work, on the worker's thread; true: that was the last. */
	bool (*run)(struct task *task, struct service *service);
	/* On that thread too; or, when the worker had ended before, on any. */
	void (*done)(struct task *task);
	struct task *next;
	struct wakeup *wake;
};

/* A worker's mailbox; all zero is an empty one. */
struct task_queue {
	_Atomic(struct task *) newest;
};

/* Any thread. */
void task_queue_add(struct task_queue *tasks, struct task *task, struct wakeup *wake);

/* The worker's thread: one part of each. Those with more to do are added again. */
void task_queue_run(struct task_queue *tasks, struct service *service);

/* No thread runs them any more: each is done, once. Any thread, several at a time. */
void task_queue_drop(struct task_queue *tasks);

#endif
