#include "client/stdio_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stdio_stream *stdio_of(const struct stream *stream)
{
	return (struct stdio_stream *)stream;
}

static bool is_unix_socket(int fd)
{
	int domain;
	socklen_t len = sizeof domain;
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

static bool is_socket(const struct stdio_end *end)
{
	return end->kind == STDIO_SOCKET || end->kind == STDIO_UNIX_SOCKET;
}

static enum stdio_kind kind_of(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return STDIO_FILE;
	if (S_ISSOCK(st.st_mode))
		return is_unix_socket(fd) ? STDIO_UNIX_SOCKET : STDIO_SOCKET;
	if (S_ISFIFO(st.st_mode))
		return STDIO_PIPE;
	return isatty(fd) ? STDIO_TERMINAL : STDIO_FILE;
}

/*
 * O_NONBLOCK belongs to the open file description, which a shell or a parent may share: open a second
 * one where that is possible.
 */
static void make_nonblocking(struct stdio_end *end, int mode)
{
	char path[32];
	int fd = end->io.fd;
	if (end->kind != STDIO_PIPE && end->kind != STDIO_TERMINAL)
		return;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0 && dup2(own, fd) == fd) {
		close(own);
		return;
	}
	if (own >= 0)
		close(own);
	end->flags = fcntl(fd, F_GETFL);
	if (end->flags >= 0)
		fcntl(fd, F_SETFL, end->flags | O_NONBLOCK);
}

static enum io stdio_failure(struct stdio_stream *stdio, const char *which)
{
	if (errno == EAGAIN || errno == EINTR)
		return IO_AGAIN;
	snprintf(stdio->error_text, sizeof stdio->error_text, "standard %s: %s", which,
		strerrordesc_np(errno));
	stdio->stream.error = stdio->error_text;
	return IO_FAIL;
}

static enum io stdio_handshake(struct stream *stream)
{
	(void)stream;
	return IO_DONE;
}

/* A unix socket whose peer closes it with bytes unread yields ECONNRESET, once all is read. */
static bool is_end(const struct stdio_end *end, ssize_t n)
{
	return n == 0 || (n < 0 && errno == ECONNRESET && end->kind == STDIO_UNIX_SOCKET);
}

static enum io stdio_read(struct stream *stream, struct buf *buf)
{
	struct stdio_stream *stdio = stdio_of(stream);
	int fd = stdio->in.io.fd;
	uint8_t *at = buf->data + buf->end;
	if (stdio->input_over)
		return IO_EOF;
	ssize_t n = is_socket(&stdio->in) ? recv(fd, at, buf_room(buf), MSG_DONTWAIT)
					  : read(fd, at, buf_room(buf));
	if (is_end(&stdio->in, n)) {
		stdio->input_over = true;
		return IO_EOF;
	}
	if (n < 0)
		return stdio_failure(stdio, "input");
	buf->end += (size_t)n;
	return IO_DONE;
}

/* Bytes leave `buf`: they are written, or discarded. */
static void stdio_consume(struct stdio_stream *stdio, struct buf *buf, size_t len)
{
	size_t room = sizeof stdio->head - stdio->head_len;
	size_t copied = len < room ? len : room;
	memcpy(stdio->head + stdio->head_len, buf->data + buf->start, copied);
	stdio->head_len += copied;
	buf->start += len;
}

static bool is_reader_gone(const struct stdio_end *end)
{
	return (errno == EPIPE && (end->kind == STDIO_PIPE || end->kind == STDIO_UNIX_SOCKET)) ||
		(errno == ECONNRESET && end->kind == STDIO_UNIX_SOCKET);
}

static enum io stdio_discard(struct stdio_stream *stdio, struct buf *buf)
{
	stdio->bytes_lost += buf_used(buf);
	stdio_consume(stdio, buf, buf_used(buf));
	stdio->events.on_reader_gone(stdio->events.owner);
	return IO_DONE;
}

static enum io stdio_write(struct stream *stream, struct buf *buf)
{
	struct stdio_stream *stdio = stdio_of(stream);
	int fd = stdio->out.io.fd;
	if (buf_used(buf) == 0)
		return IO_DONE;
	const uint8_t *at = buf->data + buf->start;
	ssize_t n = is_socket(&stdio->out)
		? send(fd, at, buf_used(buf), MSG_DONTWAIT | MSG_NOSIGNAL)
		: write(fd, at, buf_used(buf));
	if (n < 0 && is_reader_gone(&stdio->out))
		return stdio_discard(stdio, buf);
	if (n < 0)
		return stdio_failure(stdio, "output");
	stdio_consume(stdio, buf, (size_t)n);
	return buf_used(buf) > 0 ? IO_AGAIN : IO_DONE;
}

/* Closes it for its reader; its number stays in use. */
static bool close_output(int fd)
{
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int result = close(fd), error = errno;
	if (null_fd >= 0) {
		dup2(null_fd, fd);
		close(null_fd);
	}
	errno = error;
	return result == 0 || error == EINTR;
}

/* Closing is the only way to signal the end to the reader of a pipe. */
static enum io stdio_end_output(struct stream *stream, enum closing closing)
{
	struct stdio_stream *stdio = stdio_of(stream);
	int fd = stdio->out.io.fd;
	(void)closing;
	if (stdio->events.on_ending)
		stdio->events.on_ending(stdio->events.owner);
	ev_io_stop(stdio->loop, &stdio->reader_watch);
	ev_io_stop(stdio->loop, &stdio->out.io);
	if (is_socket(&stdio->out))
		shutdown(fd, SHUT_WR);
	else if (!close_output(fd))
		return stdio_failure(stdio, "output");
	stdio->out.flags = -1;
	if (stdio->in.kind == STDIO_TERMINAL) {
		stdio->input_over = true;
		ev_feed_event(stdio->loop, &stdio->in.io, EV_READ);
	}
	return IO_DONE;
}

static bool stdio_pending(const struct stream *stream)
{
	(void)stream;
	return false;
}

/* The other stream is TLS: nothing could be spliced. */
static int stdio_raw(const struct stream *stream)
{
	(void)stream;
	return -1;
}

static void io_watch(struct ev_loop *loop, ev_io *io, bool is_wanted)
{
	if (is_wanted)
		ev_io_start(loop, io);
	else
		ev_io_stop(loop, io);
}

static void stdio_watch(struct stream *stream, int events)
{
	struct stdio_stream *stdio = stdio_of(stream);
	io_watch(stdio->loop, &stdio->in.io, events & EV_READ);
	io_watch(stdio->loop, &stdio->out.io, events & EV_WRITE);
}

/* Others share the descriptors: there is no reset. */
static void stdio_abort(struct stream *stream)
{
	(void)stream;
}

static void stdio_facts(const struct stream *stream, struct stream_facts *out)
{
	(void)stream;
	*out = (struct stream_facts){0};
}

static bool stdio_address(const struct stream *stream, struct address *out)
{
	(void)stream, (void)out;
	return false;
}

static enum io stdio_drain(struct stream *stream, struct buf scratch)
{
	return stdio_read(stream, &scratch);
}

static void end_finish(struct stdio_end *end, struct ev_loop *loop)
{
	ev_io_stop(loop, &end->io);
	if (end->flags >= 0)
		fcntl(end->io.fd, F_SETFL, end->flags);
}

static void stdio_destroy(struct stream *stream)
{
	struct stdio_stream *stdio = stdio_of(stream);
	ev_io_stop(stdio->loop, &stdio->reader_watch);
	end_finish(&stdio->in, stdio->loop);
	end_finish(&stdio->out, stdio->loop);
}

static const struct stream_ops stdio_ops = {
	.handshake = stdio_handshake,
	.read = stdio_read,
	.write = stdio_write,
	.end = stdio_end_output,
	.watch = stdio_watch,
	.abort = stdio_abort,
	.facts = stdio_facts,
	.peer = stdio_address,
	.local = stdio_address,
	.pending = stdio_pending,
	.raw_in = stdio_raw,
	.raw_out = stdio_raw,
	.drain = stdio_drain,
	.destroy = stdio_destroy,
};

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct stream *stream = io->data;
	(void)loop;
	stream->on_ready(stream->owner, stream, events);
}

static void on_reader_watch(struct ev_loop *loop, ev_io *io, int events)
{
	struct stdio_stream *stdio = io->data;
	ev_io_stop(loop, io);
	if (events & EV_ERROR) /* it is not watched: writing finds out */
		return;
	stdio->events.on_reader_gone(stdio->events.owner);
}

static void end_init(struct stdio_end *end, struct stdio_stream *stdio, int fd, int events)
{
	end->kind = kind_of(fd);
	end->flags = -1;
	ev_io_init(&end->io, on_io, fd, events);
	end->io.data = &stdio->stream;
	make_nonblocking(end, events == EV_READ ? O_RDONLY : O_WRONLY);
}

struct stream *stdio_stream_init(
	struct stdio_stream *stdio, struct ev_loop *loop, int in_fd, int out_fd)
{
	*stdio = (struct stdio_stream){.stream.ops = &stdio_ops, .loop = loop};
	end_init(&stdio->in, stdio, in_fd, EV_READ);
	end_init(&stdio->out, stdio, out_fd, EV_WRITE);
	ev_io_init(&stdio->reader_watch, on_reader_watch, out_fd, EV_READ);
	stdio->reader_watch.data = stdio;
	return &stdio->stream;
}

/* The writing end of a pipe is never readable: an event means that the reader is gone. */
void stdio_stream_watch(struct stdio_stream *stdio, const struct stdio_events *events)
{
	stdio->events = *events;
	if (stdio->out.kind == STDIO_PIPE)
		ev_io_start(stdio->loop, &stdio->reader_watch);
}

bool stdio_stream_input_is_closed(const struct stdio_stream *stdio)
{
	struct pollfd in = {.fd = stdio->in.io.fd, .events = POLLRDHUP};
	return stdio->input_over ||
		(poll(&in, 1, 0) > 0 && (in.revents & (POLLHUP | POLLRDHUP | POLLERR)));
}

bool stdio_stream_input_is_exhausted(const struct stdio_stream *stdio)
{
	int unread;
	return stdio->input_over ||
		(stdio_stream_input_is_closed(stdio) &&
			ioctl(stdio->in.io.fd, FIONREAD, &unread) == 0 && unread == 0);
}
