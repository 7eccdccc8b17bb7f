#include "net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct socket *socket = (struct socket *)io; /* its first member */
	(void)loop;
	socket->on_ready(io->data, socket, events);
}

void socket_init(
	struct socket *socket, struct ev_loop *loop, int fd, socket_ready_fn *on_ready, void *owner)
{
	socket->loop = loop;
	socket->wait = NULL;
	ev_io_init(&socket->io, on_io, fd, 0);
	socket_hand_over(socket, on_ready, owner);
}

void socket_hand_over(struct socket *socket, socket_ready_fn *on_ready, void *owner)
{
	socket->on_ready = on_ready;
	socket->io.data = owner;
}

void socket_wait(struct socket *socket, int events)
{
	ev_io *io = &socket->io;
	if (socket->wait) {
		socket->wait(socket, events);
		return;
	}
	if (ev_is_active(io) ? (io->events & (EV_READ | EV_WRITE)) == events : events == 0)
		return;
	ev_io_stop(socket->loop, io);
	if (events == 0)
		return;
	ev_io_modify(io, events);
	ev_io_start(socket->loop, io);
}

int socket_connect(struct socket *self, const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	if (address->any.sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, &address->any, address->len) < 0 && errno != EINPROGRESS) {
		int error = errno;
		close(fd);
		return error;
	}
	ev_io_set(&self->io, fd, 0);
	return 0;
}

void socket_adopt(struct socket *socket, int fd)
{
	ev_io_set(&socket->io, fd, 0);
}

int socket_error(const struct socket *socket)
{
	int error = 0;
	socklen_t len = sizeof error;
	if (getsockopt(socket_fd(socket), SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

void socket_close(struct socket *socket)
{
	if (socket_fd(socket) < 0)
		return;
	ev_io_stop(socket->loop, &socket->io);
	close(socket_fd(socket));
	ev_io_set(&socket->io, -1, 0);
}

void socket_reset(struct socket *socket)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	if (socket_fd(socket) >= 0)
		setsockopt(socket_fd(socket), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	socket_close(socket);
}
