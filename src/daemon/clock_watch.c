#include "daemon/clock_watch.h"

#include "net/steady_io.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct clock_watch {
	struct steady_io io;
	void (*on_step)(void *owner);
	void *owner;
};

/* It never expires: the end of time_t. */
static bool timer_arm(int fd)
{
	struct itimerspec never = {.it_value.tv_sec = (time_t)LONG_MAX};
	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) == 0;
}

int clock_watch_open(struct err *err)
{
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd >= 0 && timer_arm(fd))
		return fd;
	err_set(err, "cannot watch the clock: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* read(2) fails with ECANCELED, and then the timer waits for the next step only when armed. */
static void on_readable(void *owner)
{
	struct clock_watch *watch = owner;
	uint64_t expirations;
	(void)!read(watch->io.io.fd, &expirations, sizeof expirations);
	timer_arm(watch->io.io.fd);
	watch->on_step(watch->owner);
}

struct clock_watch *clock_watch_create(
	struct ev_loop *loop, int fd, void (*on_step)(void *owner), void *owner)
{
	struct clock_watch *watch = calloc(1, sizeof *watch);
	if (!watch) {
		close(fd);
		return NULL;
	}
	watch->on_step = on_step;
	watch->owner = owner;
	steady_io_init(&watch->io, loop, fd, on_readable, watch);
	steady_io_start(&watch->io, fd);
	return watch;
}

void clock_watch_destroy(struct clock_watch *watch)
{
	if (!watch)
		return;
	steady_io_stop(&watch->io);
	close(watch->io.io.fd);
	free(watch);
}
