/*
 * The new gatehouse's side of an upgrade (app/upgrade.h): it was started by another one, whose
 * sockets it has been passed, and which waits at the other end of a channel to hear how the start
 * goes. An error's text and the end of the channel: it failed. HANDOVER_READY: it serves; then the
 * old one lets go, and only from now on is this the process that systemd listens to.
 */
#ifndef GATEHOUSE_UPGRADE_HANDOVER_H
#define GATEHOUSE_UPGRADE_HANDOVER_H

#include <ev.h>
#include <stdbool.h>

#define HANDOVER_VARIABLE "GATEHOUSE_HANDOVER" /* the channel's descriptor */
#define HANDOVER_READY    "ready\n"

struct handover {
	ev_io io; /* io.fd: -1 when nobody waits */
	void (*on_released)(void *owner);
	void *owner;
};

/* Reads the environment and clears it. */
void handover_init(struct handover *handover);
bool handover_is_awaited(const struct handover *handover);

void handover_failed(const struct handover *handover, const char *text);

/* `on_released` is called when the old one has let go, or is no more. */
void handover_ready(struct handover *handover, struct ev_loop *loop,
	void (*on_released)(void *owner), void *owner);

#endif
