#include "client/stdio_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stdio_stream *stdio_of(const struct stream *stream)
{
	return (struct stdio_stream *)stream;
}

static enum stdio_kind kind_of(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return STDIO_FILE;
	if (S_ISSOCK(st.st_mode))
		return STDIO_SOCKET;
	if (S_ISFIFO(st.st_mode))
		return STDIO_PIPE;
	return isatty(fd) ? STDIO_TERMINAL : STDIO_FILE;
}

/*
 * O_NONBLOCK belongs to the open file, which a shell or a parent may share: it gets one of our own
 * where that can be had.
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

static enum io stdio_failed(struct stdio_stream *stdio, const char *which)
{
	if (errno == EAGAIN || errno == EINTR)
		return IO_AGAIN;
	if (errno == EPIPE)
		stdio->stream.error = "standard output: nobody reads it any more";
	else
		snprintf(stdio->error_text, sizeof stdio->error_text, "standard %s: %s", which,
			strerrordesc_np(errno));
	if (!stdio->stream.error)
		stdio->stream.error = stdio->error_text;
	return IO_FAIL;
}

static enum io stdio_handshake(struct stream *stream)
{
	(void)stream;
	return IO_DONE;
}

static enum io stdio_read(struct stream *stream, struct buf *buf)
{
	struct stdio_stream *stdio = stdio_of(stream);
	int fd = stdio->in.io.fd;
	uint8_t *at = buf->data + buf->end;
	if (stdio->input_over)
		return IO_EOF;
	ssize_t n = stdio->in.kind == STDIO_SOCKET ? recv(fd, at, buf_room(buf), MSG_DONTWAIT)
						   : read(fd, at, buf_room(buf));
	if (n < 0)
		return stdio_failed(stdio, "input");
	if (n == 0) {
		stdio->input_over = true;
		return IO_EOF;
	}
	buf->end += (size_t)n;
	return IO_DONE;
}

static void note_head(struct stdio_stream *stdio, const uint8_t *data, size_t len)
{
	size_t room = sizeof stdio->head - stdio->head_len;
	size_t taken = len < room ? len : room;
	memcpy(stdio->head + stdio->head_len, data, taken);
	stdio->head_len += taken;
}

static enum io stdio_write(struct stream *stream, struct buf *buf)
{
	struct stdio_stream *stdio = stdio_of(stream);
	int fd = stdio->out.io.fd;
	if (buf_used(buf) == 0)
		return IO_DONE;
	const uint8_t *at = buf->data + buf->start;
	ssize_t n = stdio->out.kind == STDIO_SOCKET
		? send(fd, at, buf_used(buf), MSG_DONTWAIT | MSG_NOSIGNAL)
		: write(fd, at, buf_used(buf));
	if (n < 0)
		return stdio_failed(stdio, "output");
	note_head(stdio, at, (size_t)n);
	buf->start += (size_t)n;
	return buf_used(buf) > 0 ? IO_AGAIN : IO_DONE;
}

/* Closed for its reader, while the number stays taken. */
static bool close_output(int fd)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int result = close(fd), error = errno;
	if (nowhere >= 0) {
		dup2(nowhere, fd);
		close(nowhere);
	}
	errno = error;
	return result == 0 || error == EINTR;
}

/* The far end of a pipe hears of the end by nothing else. */
static enum io stdio_end_output(struct stream *stream, enum closing closing)
{
	struct stdio_stream *stdio = stdio_of(stream);
	int fd = stdio->out.io.fd;
	(void)closing;
	if (stdio->events.on_ending)
		stdio->events.on_ending(stdio->events.owner);
	ev_io_stop(stdio->loop, &stdio->lost);
	ev_io_stop(stdio->loop, &stdio->out.io);
	if (stdio->out.kind == STDIO_SOCKET)
		shutdown(fd, SHUT_WR);
	else if (!close_output(fd))
		return stdio_failed(stdio, "output");
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

/* What is beyond it transforms bytes in any case. */
static int stdio_raw(const struct stream *stream)
{
	(void)stream;
	return -1;
}

static void watch_end(struct ev_loop *loop, ev_io *io, bool is_wanted)
{
	if (is_wanted)
		ev_io_start(loop, io);
	else
		ev_io_stop(loop, io);
}

static void stdio_watch(struct stream *stream, int events)
{
	struct stdio_stream *stdio = stdio_of(stream);
	watch_end(stdio->loop, &stdio->in.io, events & EV_READ);
	watch_end(stdio->loop, &stdio->out.io, events & EV_WRITE);
}

/* Who shares the descriptors must not suffer: there is no reset. */
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

/* The descriptors stay open. */
static void stdio_destroy(struct stream *stream)
{
	struct stdio_stream *stdio = stdio_of(stream);
	ev_io_stop(stdio->loop, &stdio->lost);
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

static void on_lost(struct ev_loop *loop, ev_io *io, int events)
{
	struct stdio_stream *stdio = io->data;
	(void)events;
	ev_io_stop(loop, io);
	stdio->events.on_lost(stdio->events.owner);
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
	ev_io_init(&stdio->lost, on_lost, out_fd, EV_READ);
	stdio->lost.data = stdio;
	return &stdio->stream;
}

/* The writing end of a pipe is never readable: what wakes its watcher is that the reader is gone. */
void stdio_stream_watch(struct stdio_stream *stdio, const struct stdio_events *events)
{
	stdio->events = *events;
	if (stdio->out.kind == STDIO_PIPE)
		ev_io_start(stdio->loop, &stdio->lost);
}
