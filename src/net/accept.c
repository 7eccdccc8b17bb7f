#include "net/accept.h"

#include "base/clock.h"

#include <errno.h>

/* Pauses that follow within this time are one series. */
#define SERIES_US 2000000

enum accept_failure accept_failure_of(int error)
{
	switch (error) {
	case EAGAIN:
		return ACCEPT_EMPTY;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return ACCEPT_STARVED;
	case EINVAL:
		return ACCEPT_SHUT;
	default:
		return ACCEPT_GONE;
	}
}

const char *accept_starved_text(int error)
{
	return error == EMFILE || error == ENFILE ? "out of file descriptors (LimitNOFILE=)"
						  : "out of memory for sockets";
}

static void pause_for_a_while(struct accept_watch *watch)
{
	steady_io_stop(&watch->io);
	ev_timer_stop(watch->io.loop, &watch->pause);
	ev_timer_set(&watch->pause, ACCEPT_PAUSE_SECONDS, 0.);
	ev_timer_start(watch->io.loop, &watch->pause);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct accept_watch *watch = timer->data;
	(void)loop, (void)events;
	steady_io_start(&watch->io, watch->fd);
}

static void on_readable(void *owner)
{
	struct accept_watch *watch = owner;
	watch->on_ready(watch->owner);
}

void accept_watch_init(struct accept_watch *watch, struct ev_loop *loop, int fd,
	accept_ready_fn *on_ready, void *owner)
{
	*watch = (struct accept_watch){.fd = fd, .on_ready = on_ready, .owner = owner};
	steady_io_init(&watch->io, loop, fd, on_readable, watch);
	ev_timer_init(&watch->pause, on_pause_over, ACCEPT_PAUSE_SECONDS, 0.);
	watch->pause.data = watch;
}

void accept_watch_start(struct accept_watch *watch)
{
	steady_io_start(&watch->io, watch->fd);
}

void accept_watch_stop(struct accept_watch *watch)
{
	steady_io_stop(&watch->io);
	ev_timer_stop(watch->io.loop, &watch->pause);
}

bool accept_watch_failed(struct accept_watch *watch, int error)
{
	switch (accept_failure_of(error)) {
	case ACCEPT_EMPTY:
	case ACCEPT_GONE:
		return false;
	case ACCEPT_SHUT:
		accept_watch_stop(watch);
		return true;
	case ACCEPT_STARVED:
		break;
	}
	uint64_t now = clock_now_us();
	bool is_first = now >= watch->quiet_until_us;
	watch->quiet_until_us = now + SERIES_US;
	pause_for_a_while(watch);
	return is_first;
}
