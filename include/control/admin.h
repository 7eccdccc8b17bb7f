/*
 * The administrator's side of the daemon, put together: the state, HTTP listeners, the control
 * socket and its commands, each a participant of the daemon's reloads. The main thread's.
 */
#ifndef GATEHOUSE_CONTROL_ADMIN_H
#define GATEHOUSE_CONTROL_ADMIN_H

#include "daemon/daemon.h"

struct admin;

/* Before daemon_load. `daemon` is borrowed. NULL with `err`. */
struct admin *admin_create(struct daemon *daemon, struct err *err);

/* After daemon_run, before daemon_destroy. NULL is fine. */
void admin_destroy(struct admin *admin);

#endif
