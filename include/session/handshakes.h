/*
 * Limits on the TLS handshakes of clients, which cost far more than anything else that a stranger can have: how many
 * are in progress ("max_handshakes"), and how many begin in a second ("handshake_rate"). Each worker has its share.
 * Who comes too many waits, in the order of coming, at no cost but its memory, and is counted in the other limits.
 */
#ifndef GATEHOUSE_SESSION_HANDSHAKES_H
#define GATEHOUSE_SESSION_HANDSHAKES_H

#include "session/engine.h"

/* True: it may begin. False: it waits, and its step runs again when there may be room. */
bool handshakes_enter(struct session *session);

/* It has ended, whether it waited or had begun. More than once is fine. */
void handshakes_leave(struct session *session);

#endif
