/*
 * Reports when the wall clock was set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Timeouts run on
 * the monotonic clock and need none of this; the dates of certificates and of revocation lists do.
 */
#ifndef GATEHOUSE_DAEMON_CLOCK_WATCH_H
#define GATEHOUSE_DAEMON_CLOCK_WATCH_H

#include "base/err.h"

#include <ev.h>

struct clock_watch;

/* A timer on the wall clock, which setting the clock cancels; -1 with `err`. Before the sandbox. */
int clock_watch_open(struct err *err);

/* Takes `fd` over: whenever it is readable, the timer is armed again and `on_step` called. NULL:
 * out of memory, and `fd` is closed. */
struct clock_watch *clock_watch_create(
	struct ev_loop *loop, int fd, void (*on_step)(void *owner), void *owner);

void clock_watch_destroy(struct clock_watch *watch); /* NULL is fine */

#endif
