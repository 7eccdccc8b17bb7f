/* Looking at a client's first bytes without taking them, at no cost while they do not come. */
#ifndef GATEHOUSE_SESSION_STEPS_PEEK_H
#define GATEHOUSE_SESSION_STEPS_PEEK_H

#include "session/engine.h"

/*
 * Looks at `size` bytes at most, into the loop context's `plain`. STEP_NEXT: there are *len of them, at
 * least one. STEP_WAIT and STEP_END: to be returned by the step.
 */
enum step_result peek(struct session *session, size_t size, size_t *len);

/* Of `have` bytes the step needs `want` before another look can help. */
enum step_result peek_wait_for(
	struct session *session, struct peeking *peeking, size_t have, size_t want);

/* The bytes are seen to: waiting is as on any other stream again. */
void peek_done(struct session *session, struct peeking *peeking);

#endif
