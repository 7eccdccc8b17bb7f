/*
 * Watches a descriptor for reading for as long as the program runs: an acceptor, a wake-up, a
 * channel. When epoll_ctl(2) fails for want of memory, libev stops a watcher and calls it once with
 * EV_ERROR; nothing would ever be read from that descriptor again. This one starts again after a
 * moment, until it succeeds. libev delivers EV_ERROR at the next event of the loop only, which may be
 * far away: a timer looks after each start.
 */
#ifndef GATEHOUSE_NET_STEADY_IO_H
#define GATEHOUSE_NET_STEADY_IO_H

#include <ev.h>

/* How soon to try again where the kernel refused to watch. */
#define STEADY_IO_RETRY_SECONDS 0.1

struct steady_io {
	ev_io io; /* io.fd: the descriptor, which stays the owner's */
	ev_timer check;
	struct ev_loop *loop;
	void (*on_readable)(void *owner);
	void *owner;
};

/* `fd` may be -1, and set later by steady_io_start. */
void steady_io_init(struct steady_io *steady, struct ev_loop *loop, int fd,
	void (*on_readable)(void *owner), void *owner);

void steady_io_start(struct steady_io *steady, int fd);

/* After ev_loop_fork, which has the kernel watch everything anew: looks again, and wakes the loop for
 * the watchers of others that failed. */
void steady_io_check(struct steady_io *steady);
void steady_io_stop(struct steady_io *steady);

#endif
