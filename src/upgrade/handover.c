#include "upgrade/handover.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_socket(int fd)
{
	int type;
	socklen_t len = sizeof type;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

void handover_init(struct handover *handover)
{
	const char *text = getenv(HANDOVER_VARIABLE);
	int fd = text ? (int)strtol(text, NULL, 10) : -1;
	if (fd <= STDERR_FILENO || !is_socket(fd))
		fd = -1;
	else
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	ev_io_set(&handover->io, fd, EV_READ);
	unsetenv(HANDOVER_VARIABLE);
}

bool handover_is_awaited(const struct handover *handover)
{
	return handover->io.fd >= 0;
}

static void handover_send(const struct handover *handover, const char *text)
{
	if (handover_is_awaited(handover))
		(void)!send(handover->io.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void handover_failed(const struct handover *handover, const char *text)
{
	handover_send(handover, text);
	handover_send(handover, "\n");
}

static void on_channel_closed(struct ev_loop *loop, ev_io *io, int events)
{
	struct handover *handover = io->data;
	(void)events;
	ev_io_stop(loop, io);
	close(io->fd);
	ev_io_set(io, -1, EV_READ);
	handover->on_released(handover->owner);
}

void handover_ready(struct handover *handover, struct ev_loop *loop,
	void (*on_released)(void *owner), void *owner)
{
	int fd = handover->io.fd;
	handover->on_released = on_released;
	handover->owner = owner;
	ev_io_init(&handover->io, on_channel_closed, fd, EV_READ);
	handover->io.data = handover;
	handover_send(handover, HANDOVER_READY);
	ev_io_start(loop, &handover->io);
}
