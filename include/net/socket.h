/*
 * A connected (or connecting) socket and its one watcher, which lives as long as the descriptor:
 * whoever drives the socket now says what to wait for, and libev tells the kernel only when that
 * differs from before.
 */
#ifndef GATEHOUSE_NET_SOCKET_H
#define GATEHOUSE_NET_SOCKET_H

#include "net/address.h"

#include <ev.h>

struct socket;
typedef void socket_ready_fn(void *owner, struct socket *socket, int events);

struct socket {
	ev_io io; /* io.fd is the descriptor, -1 when closed; io.data the owner */
	socket_ready_fn *on_ready;
	struct ev_loop *loop;
	void (*wait)(struct socket *socket, int events); /* NULL; else instead of watching `io` */
};

/* The caller owns the struct, the struct owns `fd` from now on (-1: to be opened later). */
void socket_init(struct socket *socket, struct ev_loop *loop, int fd, socket_ready_fn *on_ready,
	void *owner);

/* Who drives the socket from now on. */
void socket_hand_over(struct socket *socket, socket_ready_fn *on_ready, void *owner);

/* What to wait for: EV_READ, EV_WRITE, both, or 0. */
void socket_wait(struct socket *socket, int events);

/* Starts to connect; 0, or an errno. Done when it gets writable: socket_error tells how it went. */
int socket_connect(struct socket *socket, const struct address *address);

/* Takes over a descriptor that is connected, where there was none. */
void socket_adopt(struct socket *socket, int fd);

/* The pending error of the socket: 0 or an errno. */
int socket_error(const struct socket *socket);

/* Closing without a word, with what waits still delivered; or so that the peer gets a reset. */
void socket_close(struct socket *socket);
void socket_reset(struct socket *socket);

static inline int socket_fd(const struct socket *socket)
{
	return socket->io.fd;
}

#endif
