/*
 * A connected byte stream: plain or TLS, nobody above this header knows which. All operations are
 * non-blocking; on IO_AGAIN the caller waits for `events` on the stream's socket and calls again.
 *
 * The caller owns the stream and ends it with stream_destroy; the socket under it has its own owner.
 */
#ifndef GATEHOUSE_NET_STREAM_H
#define GATEHOUSE_NET_STREAM_H

#include "base/bytes.h"
#include "net/socket.h"

enum io {
	IO_DONE,
	IO_AGAIN,
	IO_EOF,  /* the peer ended its direction, properly (FIN, close_notify) */
	IO_FAIL, /* reset, truncated, protocol error: `error` of the stream says it in words */
};

enum closing {
	HALF_CLOSE, /* FIN now: the peer may go on */
	FULL_CLOSE, /* the caller closes the socket next, and that says the FIN */
};

struct stream;

struct stream_ops {
	enum io (*handshake)(struct stream *stream); /* plain: IO_DONE at once */
	/* Appends at least a byte to the free room of `buf`, and much where much waits. */
	enum io (*read)(struct stream *stream, struct buf *buf);
	/*
	 * Takes bytes from `buf`. IO_DONE: all of them, and they are with the kernel. IO_AGAIN: what
	 * is left in `buf`, or inside the stream, goes with the next call (`buf` may be empty then).
	 */
	enum io (*write)(struct stream *stream, struct buf *buf);
	/* No more from us: close_notify and FIN. */
	enum io (*end)(struct stream *stream, enum closing closing);
	int (*events)(const struct stream *stream, int wanted); /* what to poll for now */
	bool (*pending)(const struct stream *stream); /* readable, where poll cannot see it */
	int (*raw_fd)(const struct stream *stream);   /* -1: bytes are transformed */
	void (*destroy)(struct stream *stream);
};

struct stream {
	const struct stream_ops *ops;
	struct socket *socket;
	const char *error; /* after IO_FAIL; static or owned by the stream */
};

static inline enum io stream_handshake(struct stream *stream)
{
	return stream->ops->handshake(stream);
}

static inline enum io stream_read(struct stream *stream, struct buf *buf)
{
	return stream->ops->read(stream, buf);
}

static inline enum io stream_write(struct stream *stream, struct buf *buf)
{
	return stream->ops->write(stream, buf);
}

static inline enum io stream_end(struct stream *stream, enum closing closing)
{
	return stream->ops->end(stream, closing);
}

static inline int stream_events(const struct stream *stream, int wanted)
{
	return stream->ops->events(stream, wanted);
}

static inline bool stream_pending(const struct stream *stream)
{
	return stream->ops->pending(stream);
}

static inline int stream_raw_fd(const struct stream *stream)
{
	return stream->ops->raw_fd(stream);
}

static inline void stream_destroy(struct stream *stream)
{
	if (stream && stream->ops)
		stream->ops->destroy(stream);
}

/* The words for an errno of a connection. */
const char *stream_error_text(int error);

#endif
