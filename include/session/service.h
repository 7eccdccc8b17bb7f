/*
 * What the sessions of one worker share. The worker (app/worker) makes it, and replaces `routes` when
 * a reload is published; sessions only use it. Belongs to one thread; `limits` is every worker's.
 */
#ifndef GATEHOUSE_SESSION_SERVICE_H
#define GATEHOUSE_SESSION_SERVICE_H

#include "net/lane.h"
#include "net/resolver.h"
#include "route/routes.h"
#include "session/flood.h"
#include "session/sources.h"

struct session;

/* Counted by all workers together. */
struct limits {
	atomic_uint connections;
	struct sources *sources;
};

struct service {
	struct lane lane;
	struct resolver *resolver;
	struct routes *routes; /* what a session begins with; a reference */
	struct limits *limits;
	struct flood flood;
	struct client_hello hello; /* within one callback: from sniff to choose_route */
	ev_timer revalidation;    /* runs while there are sessions to judge again */
	struct session *sessions; /* all that live, newest first */
	unsigned count;
	void (*on_session_gone)(struct service *service); /* after each end */
};

#endif
