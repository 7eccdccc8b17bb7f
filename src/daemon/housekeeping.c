#include "daemon/housekeeping.h"

#include <malloc.h>

#define INTERVAL_SECONDS 0.5

static void on_interval(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct housekeeping *housekeeping = timer->data;
	(void)events;
	bool is_tidy = snapshots_tidy(housekeeping->snapshots);
	is_tidy &= listening_tidy(housekeeping->listening);
	if (!is_tidy)
		return;
	ev_timer_stop(loop, timer);
	malloc_trim(0); /* a large table is gone, or one that was refused */
}

void housekeeping_init(struct housekeeping *housekeeping, struct ev_loop *loop,
	struct snapshots *snapshots, struct listening *listening)
{
	*housekeeping =
		(struct housekeeping){.loop = loop, .snapshots = snapshots, .listening = listening};
	ev_timer_init(&housekeeping->timer, on_interval, 0., INTERVAL_SECONDS);
	housekeeping->timer.data = housekeeping;
}

void housekeeping_start(struct housekeeping *housekeeping)
{
	if (!ev_is_active(&housekeeping->timer))
		ev_timer_again(housekeeping->loop, &housekeeping->timer);
}
