/*
 * A relay lives for long; what it needs of the snapshot that it began with is its route (route/kept_route). When
 * the snapshot has been replaced, it keeps a copy of that and leaves the rest, so that idle connections do not
 * hold a table of hosts for each reload.
 */
#ifndef GATEHOUSE_SESSION_KEEP_ROUTE_H
#define GATEHOUSE_SESSION_KEEP_ROUTE_H

#include "session/session.h"

/* True when it was done now. Nothing happens before the relay, under the current snapshot, and without memory. */
bool session_keep_route(struct session *session);

#endif
