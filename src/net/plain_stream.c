#include "net/plain_stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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

static enum io failed(struct stream *stream)
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

static enum io plain_read(struct stream *stream, struct buf *buf)
{
	ssize_t n = recv(socket_fd(stream->socket), buf->data + buf->end, buf_room(buf), 0);
	if (n < 0)
		return failed(stream);
	if (n == 0)
		return IO_EOF;
	buf->end += (size_t)n;
	return IO_DONE;
}

static enum io plain_write(struct stream *stream, struct buf *buf)
{
	if (buf_used(buf) == 0)
		return IO_DONE;
	ssize_t n = send(
		socket_fd(stream->socket), buf->data + buf->start, buf_used(buf), MSG_NOSIGNAL);
	if (n < 0)
		return failed(stream);
	buf->start += (size_t)n;
	return buf_used(buf) > 0 ? IO_AGAIN : IO_DONE;
}

static enum io plain_end(struct stream *stream, enum closing closing)
{
	if (closing == FULL_CLOSE || shutdown(socket_fd(stream->socket), SHUT_WR) == 0)
		return IO_DONE;
	return failed(stream);
}

static int plain_events(const struct stream *stream, int wanted)
{
	(void)stream;
	return wanted;
}

static bool plain_pending(const struct stream *stream)
{
	(void)stream;
	return false;
}

static int plain_raw_fd(const struct stream *stream)
{
	return socket_fd(stream->socket);
}

static void plain_destroy(struct stream *stream)
{
	stream->ops = NULL;
}

static const struct stream_ops plain_ops = {
	.handshake = plain_handshake,
	.read = plain_read,
	.write = plain_write,
	.end = plain_end,
	.events = plain_events,
	.pending = plain_pending,
	.raw_fd = plain_raw_fd,
	.destroy = plain_destroy,
};

void plain_stream_init(struct stream *stream, struct socket *socket)
{
	*stream = (struct stream){.ops = &plain_ops, .socket = socket};
}
