#include "net/plain_stream.h"

#include "net/socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char *stream_error_text(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
		return "reset by peer";
	case ETIMEDOUT:
		return "timed out in the network";
	case ECONNREFUSED:
		return "connection refused";
	case EHOSTUNREACH:
		return "no route to host";
	case ENETUNREACH:
		return "network unreachable";
	default:
		return strerrordesc_np(error);
	}
}

static struct plain_stream *plain_of(const struct stream *stream)
{
	return (struct plain_stream *)stream; /* its first member */
}

static int fd_of(const struct stream *stream)
{
	return plain_of(stream)->io.fd;
}

static enum io plain_failed(struct stream *stream)
{
	if (errno == EAGAIN || errno == EINTR)
		return IO_AGAIN;
	stream->error = stream_error_text(errno);
	return IO_FAIL;
}

static enum io plain_handshake(struct stream *stream)
{
	(void)stream;
	return IO_DONE;
}

static inline enum io plain_receive(struct stream *stream, struct buf *buf, int flags)
{
	ssize_t n = recv(fd_of(stream), buf->data + buf->end, buf_room(buf), flags);
	if (n < 0)
		return plain_failed(stream);
	if (n == 0)
		return IO_EOF;
	buf->end += (size_t)n;
	return IO_DONE;
}

static enum io plain_read(struct stream *stream, struct buf *buf)
{
	return plain_receive(stream, buf, 0);
}

static enum io plain_peek(struct stream *stream, struct buf *buf)
{
	return plain_receive(stream, buf, MSG_PEEK);
}

static enum io plain_write(struct stream *stream, struct buf *buf)
{
	if (buf_used(buf) == 0)
		return IO_DONE;
	ssize_t n = send(fd_of(stream), buf->data + buf->start, buf_used(buf), MSG_NOSIGNAL);
	if (n < 0)
		return plain_failed(stream);
	buf->start += (size_t)n;
	return buf_used(buf) > 0 ? IO_AGAIN : IO_DONE;
}

static enum io plain_end(struct stream *stream, enum closing closing)
{
	struct plain_stream *plain = plain_of(stream);
	if (closing == FULL_CLOSE || plain->is_ended)
		return IO_DONE;
	plain->is_ended = true;
	return shutdown(plain->io.fd, SHUT_WR) == 0 ? IO_DONE : plain_failed(stream);
}

/* libev tells the kernel only when what is wanted differs from before. */
static void plain_watch(struct stream *stream, int events)
{
	struct plain_stream *plain = plain_of(stream);
	ev_io *io = &plain->io;
	if (events == plain->watched)
		return;
	plain->watched = events;
	ev_io_stop(plain->loop, io);
	if (events == 0)
		return;
	ev_io_modify(io, events);
	ev_io_start(plain->loop, io);
}

static void plain_abort(struct stream *stream)
{
	socket_reset_on_close(fd_of(stream));
}

static void plain_facts(const struct stream *stream, struct stream_facts *out)
{
	(void)stream;
	*out = (struct stream_facts){0};
}

static bool plain_peer(const struct stream *stream, struct address *out)
{
	out->len = sizeof out->un;
	return getpeername(fd_of(stream), &out->any, &out->len) == 0;
}

static bool plain_local(const struct stream *stream, struct address *out)
{
	out->len = sizeof out->un;
	return getsockname(fd_of(stream), &out->any, &out->len) == 0;
}

static bool plain_pending(const struct stream *stream)
{
	(void)stream;
	return false;
}

static bool plain_want(struct stream *stream, size_t bytes)
{
	int lowat = (int)bytes;
	return setsockopt(fd_of(stream), SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat) == 0;
}

static bool plain_is_ended(const struct stream *stream)
{
	struct pollfd poll_fd = {.fd = fd_of(stream), .events = POLLRDHUP};
	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents != 0;
}

static enum io plain_drain(struct stream *stream, struct buf scratch)
{
	plain_end(stream, HALF_CLOSE);
	return plain_receive(stream, &scratch, 0);
}

static void plain_destroy(struct stream *stream)
{
	struct plain_stream *plain = plain_of(stream);
	ev_io_stop(plain->loop, &plain->io);
	close(plain->io.fd);
}

static const struct stream_ops plain_ops = {
	.handshake = plain_handshake,
	.read = plain_read,
	.write = plain_write,
	.end = plain_end,
	.watch = plain_watch,
	.abort = plain_abort,
	.facts = plain_facts,
	.peer = plain_peer,
	.local = plain_local,
	.pending = plain_pending,
	.raw_in = fd_of,
	.raw_out = fd_of,
	.peek = plain_peek,
	.want = plain_want,
	.is_ended = plain_is_ended,
	.drain = plain_drain,
	.destroy = plain_destroy,
};

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct stream *stream = io->data;
	(void)loop;
	stream->on_ready(stream->owner, stream, events);
}

struct stream *plain_stream_init(struct plain_stream *plain, struct ev_loop *loop, int fd)
{
	plain->stream = (struct stream){.ops = &plain_ops};
	plain->loop = loop;
	plain->watched = 0;
	plain->is_ended = false;
	ev_io_init(&plain->io, on_io, fd, 0);
	plain->io.data = &plain->stream;
	return &plain->stream;
}
