#include "daemon/worker/wakeup.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What is sent before the flag is cleared is seen by the callback that follows. */
static void on_readable(void *owner)
{
	struct wakeup *wakeup = owner;
	eventfd_t sent;
	(void)!read(wakeup->io.io.fd, &sent, sizeof sent);
	atomic_exchange(&wakeup->is_sent, false);
	wakeup->on_wake(wakeup->owner);
}

bool wakeup_open(struct wakeup *wakeup, struct ev_loop *loop, void (*on_wake)(void *owner),
	void *owner, struct err *err)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0) {
		err_set(err, "cannot create an event descriptor: %s", strerror(errno));
		return false;
	}
	wakeup->on_wake = on_wake;
	wakeup->owner = owner;
	steady_io_init(&wakeup->io, loop, fd, on_readable, wakeup);
	steady_io_start(&wakeup->io, fd);
	return true;
}

void wakeup_close(struct wakeup *wakeup)
{
	if (!wakeup->io.loop)
		return;
	steady_io_stop(&wakeup->io);
	close(wakeup->io.io.fd);
	wakeup->io.loop = NULL;
}

void wakeup_send(struct wakeup *wakeup)
{
	static const eventfd_t one = 1;
	if (!atomic_exchange(&wakeup->is_sent, true))
		(void)!write(wakeup->io.io.fd, &one, sizeof one);
}
