/*
 * A worker's doors: its sockets of the listeners, and the accepting of connections on them. It
 * pauses by itself when a limit or the descriptors run out, and resumes when there is room again;
 * meanwhile connections wait in the kernel's queue.
 *
 * Belongs to the worker's thread. The listeners are the main thread's; the descriptors in them that
 * are this worker's are closed here.
 */
#ifndef GATEHOUSE_DAEMON_WORKER_ACCEPTORS_H
#define GATEHOUSE_DAEMON_WORKER_ACCEPTORS_H

#include "net/listener.h"
#include "session/service.h"

struct acceptor; /* one door */

struct acceptors {
	struct service *service;
	unsigned worker; /* its index, which says what sockets of a listener are its */
	struct acceptor *first;
	ev_timer pause;
	bool paused;
	const char *pause_reason; /* told once, until accepting goes on without a pause */
};

void acceptors_init(struct acceptors *acceptors, struct service *service, unsigned worker);

/*
 * To what listeners there are to be: first those that are not among them are left, under the old
 * snapshot; then, under the new one, those that are new are joined.
 */
void acceptors_leave(struct acceptors *acceptors, struct listener **listeners, unsigned count);
void acceptors_join(struct acceptors *acceptors, struct listener **listeners, unsigned count);

/* A session has ended: there may be room again. */
void acceptors_session_gone(struct acceptors *acceptors);

#endif
