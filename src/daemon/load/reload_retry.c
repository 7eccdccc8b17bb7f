#include "daemon/load/reload_retry.h"

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct reload_retry *retry = timer->data;
	(void)loop, (void)events;
	retry->on_due(retry->owner);
}

void reload_retry_init(
	struct reload_retry *retry, struct ev_loop *loop, void (*on_due)(void *owner), void *owner)
{
	*retry = (struct reload_retry){.loop = loop, .on_due = on_due, .owner = owner};
	ev_timer_init(&retry->timer, on_timer, 0., 0.);
	retry->timer.data = retry;
}

unsigned reload_retry_plan(struct reload_retry *retry, bool is_passing)
{
	unsigned seconds = retry->seconds > 0 ? retry->seconds * 2 : 1;
	reload_retry_cancel(retry);
	if (!is_passing)
		return 0;
	retry->seconds = seconds < RELOAD_RETRY_MAX_SECONDS ? seconds : RELOAD_RETRY_MAX_SECONDS;
	ev_timer_set(&retry->timer, retry->seconds, 0.);
	ev_timer_start(retry->loop, &retry->timer);
	return retry->seconds;
}

bool reload_retry_is_under_way(const struct reload_retry *retry)
{
	return retry->seconds > 0;
}

void reload_retry_cancel(struct reload_retry *retry)
{
	ev_timer_stop(retry->loop, &retry->timer);
	retry->seconds = 0;
}
