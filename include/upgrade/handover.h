/*
 * The new process's side of an upgrade (upgrade/upgrade.h): the old one started it, passed its
 * sockets, and waits at the other end of a channel for the outcome of the start. An error's text and
 * the end of the channel: the start failed. HANDOVER_READY: the new process serves; then the old one
 * sends HANDOVER_TOKEN, and from now on systemd takes notifications from the new one. The end of the
 * channel without the token: the old one has given the upgrade up and continues, so the new one ends. After
 * the token the channel stays, as long as the old one drains, for connections that are returned to it.
 */
#ifndef GATEHOUSE_UPGRADE_HANDOVER_H
#define GATEHOUSE_UPGRADE_HANDOVER_H

#include "net/steady_io.h"
#include "upgrade/returned.h"

#include <stdbool.h>

#define HANDOVER_VARIABLE "GATEHOUSE_HANDOVER" /* the channel's descriptor */
#define HANDOVER_READY    "ready\n"
#define HANDOVER_TOKEN    "yours\n"

/* What follows handover_ready: the first two exclude each other. */
struct handover_events {
	void (*on_released)(void *owner);  /* the old process hands over, and drains */
	void (*on_abandoned)(void *owner); /* it does not, or has ended */
	void (*on_gone)(void *owner);      /* after on_released: it has ended */
	void *owner;
};

struct handover {
	struct steady_io io;
	int fd; /* -1 when no process waits */
	struct handover_events events;
	bool is_released; /* the token has come */
};

/* Reads the environment and clears it. */
void handover_init(struct handover *handover);
bool handover_is_awaited(const struct handover *handover);

/* Has the old process closed the channel already? Before handover_ready. */
bool handover_is_abandoned(const struct handover *handover);

void handover_failed(const struct handover *handover, const char *text);

/* One of its events follows. */
void handover_ready(
	struct handover *handover, struct ev_loop *loop, const struct handover_events *events);

/* To the old process, which drains (upgrade/returned.h); what it does not take is lost. */
void handover_return(const struct handover *handover, int fd, const struct returned_from *from);

#endif
