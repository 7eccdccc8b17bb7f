/*
 * "min_rate": a peer that takes what waits for it more slowly than that, for a whole window, holds memory and a
 * place for nothing. Only relays are looked at, and only while bytes wait: who is idle is idle_timeout's. Looked at
 * once in a window, so that traffic costs nothing.
 */
#ifndef GATEHOUSE_SESSION_LEAST_RATE_H
#define GATEHOUSE_SESSION_LEAST_RATE_H

#include "session/session.h"

#define LEAST_RATE_WINDOW 10. /* seconds */

/* The relay begins, and there is such a limit. */
void least_rate_begin(struct session *session);

/* Once in a window; NULL: fast enough, or nothing waits. Else what is too slow, in words. */
const char *least_rate_breach(struct session *session);

#endif
