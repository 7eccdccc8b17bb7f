/*
 * Over all sessions of a worker, a few in each turn of its loop, however many there are and whatever ends
 * in between. Sessions that begin after the iteration are not met.
 */
#ifndef GATEHOUSE_SESSION_SESSION_ITER_H
#define GATEHOUSE_SESSION_SESSION_ITER_H

#include "session/session.h" /* struct session_iter is in session/service.h */

void session_iter_begin(struct session_iter *iter, struct service *service);
struct session *session_iter_next(struct session_iter *iter); /* NULL: that was the last */
void session_iter_end(struct session_iter *iter);

/* A session is about to end: no iteration may stand at it. */
void session_iters_leave(const struct session *session);

#endif
