/*
 * Connections that the new process of an upgrade returns to the old one, while that drains: what they ask for
 * concerns a connection that the old one has (session/steps/cancel.c). They go over the channel of the handover: a
 * descriptor, the text of the listener and the address of the client each, and none of their bytes are taken.
 */
#ifndef GATEHOUSE_UPGRADE_RETURNED_H
#define GATEHOUSE_UPGRADE_RETURNED_H

#include <netinet/in.h>
#include <stdbool.h>

#define RETURNED_LISTENER_MAX 320

enum returned { RETURNED_ONE, RETURNED_NONE, RETURNED_END };

struct returned_from {
	char listener[RETURNED_LISTENER_MAX];
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} source; /* AF_UNIX: a local client */
};

/* Does not wait; false: the old process does not take it. The descriptor stays the caller's. */
bool returned_send(int channel, int fd, const struct returned_from *from);

/* The next one, whose descriptor is the caller's; none yet; or the channel has ended. */
enum returned returned_receive(int channel, int *fd, struct returned_from *from);

#endif
