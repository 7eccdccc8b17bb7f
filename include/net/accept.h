/*
 * Accepting on a listening socket. Where the kernel has no descriptor or no memory for another
 * connection the socket stays readable, and a loop that tries at once spins: accepting pauses, and clients
 * wait in the kernel's queue.
 */
#ifndef GATEHOUSE_NET_ACCEPT_H
#define GATEHOUSE_NET_ACCEPT_H

#include "net/steady_io.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#define ACCEPT_PAUSE_SECONDS 0.1

/* Why accept(2) failed. */
enum accept_failure {
	ACCEPT_EMPTY,   /* no connection waits */
	ACCEPT_GONE,    /* that connection has ended, or a signal came: the next may be accepted */
	ACCEPT_STARVED, /* no descriptor or no memory: pause */
	ACCEPT_SHUT,    /* another process has shut the socket down: it will never be accepted on */
};
enum accept_failure accept_failure_of(int error);

/* What is lacking, of an error that is ACCEPT_STARVED: static. */
const char *accept_starved_text(int error);

/* One listening socket of a loop that pauses by itself. */
struct accept_watch;
typedef void accept_ready_fn(void *owner); /* a connection waits: accept it */
struct accept_watch {
	int fd;
	struct steady_io io; /* again and again where the kernel refuses to watch the socket */
	ev_timer pause;
	uint64_t quiet_until_us; /* a pause before that belongs to one that was reported */
	accept_ready_fn *on_ready;
	void *owner;
};

/* In memory that does not move until accept_watch_stop. `fd` stays the caller's. */
void accept_watch_init(struct accept_watch *watch, struct ev_loop *loop, int fd,
	accept_ready_fn *on_ready, void *owner);
void accept_watch_start(struct accept_watch *watch);
void accept_watch_stop(struct accept_watch *watch);

/*
 * For on_ready, when accept has failed with `error`: pauses, or does nothing, as that asks for. True when the
 * caller is to report it: at the first of a series of pauses.
 */
bool accept_watch_failed(struct accept_watch *watch, int error);

#endif
