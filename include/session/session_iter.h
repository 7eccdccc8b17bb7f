/*
 * A walk over all sessions of a worker, a few in each turn of its loop, however many there are and
 * whatever ends in between. Sessions that begin after the walk are not met.
 */
#ifndef GATEHOUSE_SESSION_SESSION_ITER_H
#define GATEHOUSE_SESSION_SESSION_ITER_H

#include "session/session.h" /* struct walk is in session/service.h */

void walk_begin(struct walk *walk, struct service *service);
struct session *walk_next(struct walk *walk); /* NULL: that was the last */
void walk_end(struct walk *walk);

/* A session is about to end: no walk may stand at it. */
void walks_leave(const struct session *session);

#endif
