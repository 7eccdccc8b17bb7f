/*
 * Wakes a loop from another thread. An ev_async does the same, but shares a descriptor of libev's
 * with all others, and libev never watches that one again after one failure of epoll_ctl(2).
 */
#ifndef GATEHOUSE_DAEMON_WORKER_WAKEUP_H
#define GATEHOUSE_DAEMON_WORKER_WAKEUP_H

#include "base/err.h"
#include "net/steady_io.h"

#include <stdatomic.h>
#include <stdbool.h>

struct wakeup {
	struct steady_io io;
	atomic_bool is_sent; /* and not received: sending again has no effect */
	void (*on_wake)(void *owner);
	void *owner;
};

/* On the loop's thread. All zero is a closed one. */
bool wakeup_open(struct wakeup *wakeup, struct ev_loop *loop, void (*on_wake)(void *owner),
	void *owner, struct err *err);
void wakeup_close(struct wakeup *wakeup);

/* From any thread: `on_wake` is called after this, once for all that is sent until then. */
void wakeup_send(struct wakeup *wakeup);

#endif
