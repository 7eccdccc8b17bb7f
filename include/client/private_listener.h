/*
 * A listening socket for the processes of this user alone. A unix socket lies in a directory of
 * mode 0700; on loopback, where a port is open to every user of the machine, the kernel is
 * queried for the user of each peer.
 */
#ifndef GATEHOUSE_CLIENT_PRIVATE_LISTENER_H
#define GATEHOUSE_CLIENT_PRIVATE_LISTENER_H

#include "base/err.h"
#include "net/address.h"

struct private_listener {
	int fd;                                                    /* non-blocking */
	struct address address;                                    /* that it is bound to */
	char directory[sizeof((struct sockaddr_un *)0)->sun_path]; /* made for it; "": none */
};

/*
 * Of `address`: a loopback address, whose port may be 0 for a free one; or a unix socket, where an
 * empty path asks for one in a directory of its own. False with `err`.
 */
bool private_listener_open(
	struct private_listener *listener, const struct address *address, struct err *err);
void private_listener_close(struct private_listener *listener);

/* A connection of this user's, non-blocking. -1 with errno; EPERM: it was another's, and `why` says
 * so. */
int private_listener_accept(const struct private_listener *listener, struct err *why);

#endif
