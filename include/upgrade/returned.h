/*
 * Connections that the new process of an upgrade returns to the old one, while that drains: what they ask for
 * concerns a connection that the old one has (session/steps/cancel.c). They go over the channel of the handover, a
 * descriptor and the text of the listener each, and nothing of their bytes has been taken.
 */
#ifndef GATEHOUSE_UPGRADE_RETURNED_H
#define GATEHOUSE_UPGRADE_RETURNED_H

#include <stdbool.h>

#define RETURNED_LISTENER_MAX 320

enum returned { RETURNED_ONE, RETURNED_NONE, RETURNED_END };

/* Does not wait; false: the old process does not take it. The descriptor stays the caller's. */
bool returned_send(int channel, int fd, const char *listener);

/* The next one, whose descriptor is the caller's; none yet; or the channel has ended. */
enum returned returned_receive(int channel, int *fd, char listener[RETURNED_LISTENER_MAX]);

#endif
