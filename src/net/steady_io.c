#include "net/steady_io.h"

void steady_io_check(struct steady_io *steady)
{
	ev_timer_stop(steady->loop, &steady->check);
	ev_timer_set(&steady->check, STEADY_IO_RETRY_SECONDS, 0.);
	ev_timer_start(steady->loop, &steady->check);
}

static void on_event(struct ev_loop *loop, ev_io *io, int events)
{
	struct steady_io *steady = io->data;
	(void)loop;
	if (events & EV_ERROR)
		steady_io_check(steady);
	else
		steady->on_readable(steady->owner);
}

/* ev_io_set: within one turn of the loop libev takes a stop and a start for no change. */
static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct steady_io *steady = timer->data;
	(void)events;
	if (ev_is_active(&steady->io))
		return;
	ev_io_set(&steady->io, steady->io.fd, EV_READ);
	ev_io_start(loop, &steady->io);
	steady_io_check(steady);
}

void steady_io_init(struct steady_io *steady, struct ev_loop *loop, int fd,
	void (*on_readable)(void *owner), void *owner)
{
	*steady = (struct steady_io){.loop = loop, .on_readable = on_readable, .owner = owner};
	ev_io_init(&steady->io, on_event, fd, EV_READ);
	ev_timer_init(&steady->check, on_check, 0., 0.);
	steady->io.data = steady->check.data = steady;
}

void steady_io_start(struct steady_io *steady, int fd)
{
	steady_io_stop(steady);
	ev_io_set(&steady->io, fd, EV_READ);
	ev_io_start(steady->loop, &steady->io);
	steady_io_check(steady);
}

void steady_io_stop(struct steady_io *steady)
{
	if (!steady->loop)
		return;
	ev_timer_stop(steady->loop, &steady->check);
	ev_io_stop(steady->loop, &steady->io);
}
