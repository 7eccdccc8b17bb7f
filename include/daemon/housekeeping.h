/* Frees old snapshots and closes old listeners when no worker uses them any more. */
#ifndef GATEHOUSE_DAEMON_HOUSEKEEPING_H
#define GATEHOUSE_DAEMON_HOUSEKEEPING_H

#include "daemon/listening.h"
#include "daemon/snapshots.h"

#include <ev.h>

struct housekeeping {
	struct ev_loop *loop;
	struct snapshots *snapshots;
	struct listening *listening;
	ev_timer timer; /* runs while something is left to tidy */
};

/* All are borrowed. */
void housekeeping_init(struct housekeeping *housekeeping, struct ev_loop *loop,
	struct snapshots *snapshots, struct listening *listening);

/* After each load: there may be something to tidy. */
void housekeeping_start(struct housekeeping *housekeeping);

#endif
