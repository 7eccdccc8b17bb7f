/*
 * The signals that the daemon acts on, read from a descriptor (signalfd(2)): libev's own way shares
 * a pipe that is not watched again after one failure of epoll_ctl(2).
 */
#ifndef GATEHOUSE_DAEMON_SIGNALS_H
#define GATEHOUSE_DAEMON_SIGNALS_H

#include "base/err.h"
#include "net/steady_io.h"

#include <stdbool.h>

struct signals {
	struct steady_io io;
	void (*on_signal)(void *owner, int number);
	void *owner;
};

/* SIGHUP, SIGTERM, SIGINT, SIGUSR2. Before the sandbox; they act as before until signals_start. */
bool signals_open(struct signals *signals, struct ev_loop *loop,
	void (*on_signal)(void *owner, int number), void *owner, struct err *err);

/* Blocks them in this thread, and in those that it starts from now on, and reads them. */
void signals_start(struct signals *signals);

/* From now on no signal changes anything: blocked, one that comes stays pending. */
void signals_close(struct signals *signals);

#endif
