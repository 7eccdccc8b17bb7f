#include "daemon/watchdog.h"

#include "daemon/systemd.h"

/* Of the time that systemd grants. */
#define INTERVAL_PART 3

static void on_interval(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct watchdog *watchdog = timer->data;
	(void)loop, (void)events;
	if (!workers_have_answered(watchdog->workers))
		return;
	systemd_notify("WATCHDOG=1\nSTATUS=%u connections, %zu hosts",
		workers_sessions(watchdog->workers),
		routes_summary(snapshots_current(watchdog->snapshots)).hosts);
	workers_ping(watchdog->workers);
}

void watchdog_start(struct watchdog *watchdog, struct ev_loop *loop, struct workers *workers,
	const struct snapshots *snapshots)
{
	double seconds = (double)systemd_watchdog_us() / 1e6 / INTERVAL_PART;
	watchdog->workers = workers;
	watchdog->snapshots = snapshots;
	ev_timer_init(&watchdog->timer, on_interval, seconds, seconds);
	watchdog->timer.data = watchdog;
	if (seconds > 0)
		ev_timer_start(loop, &watchdog->timer);
}
