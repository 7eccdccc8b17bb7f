/*
 * What connections come in on. A TCP address is bound once for each worker (SO_REUSEPORT), so that
 * the kernel spreads connections and no lock is shared; a unix socket, or one that systemd passed,
 * is one descriptor for all. A second instance of the program on the same address is refused. Addresses of
 * one process may overlap: "0.0.0.0:443", "[::]:443" and "127.0.0.1:443". Sockets that the gatehouse before
 * this one hands over (net/inherited.h) are taken, all of them.
 */
#ifndef GATEHOUSE_NET_LISTENER_H
#define GATEHOUSE_NET_LISTENER_H

#include "base/err.h"
#include "net/address.h"

#include <stdbool.h>

struct listener {
	char *text; /* as the configuration has it: ":443" */
	int *fds;   /* non-blocking, listening: worker i serves number i, i + workers, ... */
	unsigned count, workers; /* one for each worker; more where there were more workers */
	bool is_inherited;       /* by our starter, who may have others serve its queue after us */
	bool is_taken_over;      /* from the gatehouse before this one */
	char *unlink_path;       /* a unix socket that we made, or it did */
	void *owner;             /* the opener's */
};

/* NULL with `err`: not an address, in use, no right to bind it, no such passed socket. */
struct listener *listener_open(const char *text, unsigned workers, struct err *err);
/* Nobody new finds the way by a unix socket's path, and another process may have it. */
void listener_hide(struct listener *listener);
/* Stops listening; the struct stays, for connections that came in by it. */
void listener_shut(struct listener *listener);
void listener_close(struct listener *listener); /* NULL is fine */

/* Is the socket ours, and not lent by systemd? Then it can be handed over; `fds` of these many. */
unsigned listener_own_sockets(const struct listener *listener);
/* Somebody else has taken it over: closing it leaves a unix socket's file. */
void listener_handed_over(struct listener *listener);

#endif
