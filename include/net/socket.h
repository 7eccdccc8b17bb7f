/* Sockets before they are streams: connecting, how that went, and settings that streams need. */
#ifndef GATEHOUSE_NET_SOCKET_H
#define GATEHOUSE_NET_SOCKET_H

#include "net/address.h"

/*
 * Starts to connect, without blocking. The new descriptor, which gets writable when it is connected or has
 * failed (socket_error tells which); -1 with errno.
 */
int socket_connect(const struct address *address);

/* How a connect that was started stands, without waiting: 0: connected; EINPROGRESS; or why not. */
int socket_connect_outcome(int fd);

/* The pending error of the socket: 0 or an errno. */
int socket_error(int fd);

/* Closing it sends a reset instead of an end. */
void socket_reset_on_close(int fd);

/*
 * Probes find a peer that is gone after `ms` of silence, a time limit of twice that finds it while
 * something is being sent. 0: neither.
 */
void socket_keep_alive(int fd, uint64_t ms);

#endif
