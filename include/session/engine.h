/*
 * The engine of sessions: makes them, runs their steps, keeps their one timer, and ends them. A step says
 * STEP_NEXT when it is done, STEP_WAIT when it has arranged to be called again, STEP_END when it has called
 * session_end. One deadline is armed at a time, on the monotonic clock. A session is freed by session_end
 * and by nothing else.
 */
#ifndef GATEHOUSE_SESSION_ENGINE_H
#define GATEHOUSE_SESSION_ENGINE_H

#include "session/session.h"

/* What a session begins with. */
struct session_start {
	int fd; /* just accepted; the session's from now on */
	const struct sockaddr *source;
	const struct listener *listener;
	const struct listener_config
		*listener_config; /* in service->routes; NULL: it is not there */
	const struct step *steps;
	struct route *forward; /* the route of a forward; else NULL */
};

void session_start(struct service *service, const struct session_start *start);

/* Runs steps until one waits or the session is gone. */
void session_advance(struct session *session);

/* Goes on with another list. */
enum step_result session_jump(struct session *session, const struct step *steps);

/* The end is decided, and comes after something else: the first decision stands. `words` are copied. */
void session_decide_end(struct session *session, enum end_reason reason, const char *words);

/* Always the last call: logs, closes, frees. What was decided before counts. `words` are copied. */
enum step_result session_end(struct session *session, enum end_reason reason, const char *words);

/* Ends the session for that reason unless another deadline is set; 0 ms: none. `words` are static. */
void session_set_deadline(
	struct session *session, uint64_t ms, enum end_reason reason, const char *words);

/* The current step runs again after this time, or at an event before. */
void session_retry_after(struct session *session, double seconds);

/* Its relay is looked at once in each window, for "min_rate" (session/least_rate). */
void session_watch_rate(struct session *session);

/* The client's certificate expires then: the session ends, whatever its deadline. Negative: never. */
void session_set_expiry(struct session *session, double seconds);

/* Ends every session of the service (second SIGTERM, drain timeout). */
void sessions_end_all(struct service *service, enum end_reason reason, const char *words);

#endif
