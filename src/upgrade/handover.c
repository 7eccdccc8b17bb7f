#include "upgrade/handover.h"

#include <errno.h>
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
	*handover = (struct handover){.fd = fd};
	unsetenv(HANDOVER_VARIABLE);
}

bool handover_is_awaited(const struct handover *handover)
{
	return handover->fd >= 0 && !handover->is_released;
}

static void handover_send(const struct handover *handover, const char *text)
{
	if (handover_is_awaited(handover))
		(void)!send(handover->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void handover_failed(const struct handover *handover, const char *text)
{
	handover_send(handover, text);
	handover_send(handover, "\n");
}

bool handover_is_abandoned(const struct handover *handover)
{
	char byte;
	return handover_is_awaited(handover) &&
		recv(handover->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void close_channel(struct handover *handover)
{
	steady_io_stop(&handover->io);
	close(handover->fd);
	handover->fd = -1;
}

static void on_channel(void *owner)
{
	struct handover *handover = owner;
	const struct handover_events *events = &handover->events;
	char token[sizeof HANDOVER_TOKEN];
	ssize_t len = recv(handover->fd, token, sizeof token, MSG_DONTWAIT);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (handover->is_released) {
		close_channel(handover);
		events->on_gone(events->owner);
	} else if (len == (ssize_t)strlen(HANDOVER_TOKEN) &&
		memcmp(token, HANDOVER_TOKEN, (size_t)len) == 0) {
		handover->is_released = true;
		events->on_released(events->owner);
	} else {
		close_channel(handover);
		events->on_abandoned(events->owner);
	}
}

void handover_ready(
	struct handover *handover, struct ev_loop *loop, const struct handover_events *events)
{
	handover->events = *events;
	steady_io_init(&handover->io, loop, handover->fd, on_channel, handover);
	handover_send(handover, HANDOVER_READY);
	steady_io_start(&handover->io, handover->fd);
}

void handover_return(const struct handover *handover, int fd, const struct returned_from *from)
{
	if (handover->fd >= 0 && handover->is_released)
		returned_send(handover->fd, fd, from);
}
