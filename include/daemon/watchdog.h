/*
 * systemd's watchdog (WatchdogSec=): a sign of life is given when every worker has given its own
 * since the last. Does nothing where systemd does not ask for it.
 */
#ifndef GATEHOUSE_DAEMON_WATCHDOG_H
#define GATEHOUSE_DAEMON_WATCHDOG_H

#include "daemon/snapshots.h"
#include "daemon/worker/workers.h"

#include <ev.h>

struct watchdog {
	ev_timer timer;
	struct workers *workers;
	const struct snapshots *snapshots;
};

/* All are borrowed. */
void watchdog_start(struct watchdog *watchdog, struct ev_loop *loop, struct workers *workers,
	const struct snapshots *snapshots);

#endif
