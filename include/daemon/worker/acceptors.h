/*
 * A worker's sockets of the listeners, and the accepting of connections on them. It pauses by itself
 * when a limit or the descriptors run out, and resumes when there is room again; meanwhile
 * connections wait in the kernel's queue.
 *
 * Belongs to the worker's thread. The listeners are the main thread's; the descriptors in them that
 * are this worker's are closed here.
 */
#ifndef GATEHOUSE_DAEMON_WORKER_ACCEPTORS_H
#define GATEHOUSE_DAEMON_WORKER_ACCEPTORS_H

#include "net/listener.h"
#include "session/service.h"

struct acceptor; /* one socket */

struct acceptors {
	struct service *service;
	unsigned worker; /* its index: which sockets of a listener are its own */
	struct acceptor *first;
	ev_timer pause, check;
	bool paused;
	bool is_unwatched;        /* paused because epoll failed, until accepting has resumed */
	const char *pause_reason; /* logged; NULL once accepting has gone on without a pause */
};

void acceptors_init(struct acceptors *acceptors, struct service *service, unsigned worker);

/*
 * Follows a change of the listeners: first, under the old snapshot, it leaves those that are not
 * among them; then, under the new one, it joins those that are new.
 */
void acceptors_leave(struct acceptors *acceptors, struct listener **listeners, unsigned count);
void acceptors_join(struct acceptors *acceptors, struct listener **listeners, unsigned count);

/* A session has ended: there may be room again. */
void acceptors_session_gone(struct acceptors *acceptors);

#endif
