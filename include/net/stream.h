/*
 * A connected byte stream: a socket, TLS over one, standard input and output; nobody above this header
 * knows which. A stream owns its transport: stream_destroy closes it. All operations are non-blocking; on
 * IO_AGAIN the driver says with stream_watch what it waits for, and calls again when `on_ready` comes.
 *
 * The memory of a stream is its maker's business; whoever has the stream ends it with stream_destroy.
 */
#ifndef GATEHOUSE_NET_STREAM_H
#define GATEHOUSE_NET_STREAM_H

#include "base/bytes.h"
#include "net/address.h"

#include <ev.h>

enum io {
	IO_DONE,
	IO_AGAIN,
	IO_EOF,  /* the peer ended its direction, properly (FIN, close_notify) */
	IO_FAIL, /* reset, truncated, protocol error: `error` of the stream says it in words */
};

enum closing {
	HALF_CLOSE, /* FIN now: the peer may go on */
	FULL_CLOSE, /* the caller destroys the stream next, and that sends the FIN */
};

struct stream;
struct identity;

/* Of the encryption and of the peer's certificate, as far as they are known; all zero without TLS. */
struct stream_facts {
	const char *tls_version, *cipher; /* "TLSv1.3"; NULL until the handshake is done; static */
	bool resumed;
	struct span alpn;                /* the id that was agreed on; lent by the stream */
	const struct identity *identity; /* of the peer's certificate, NULL: none was seen; lent */
};

/*
 * `events`: EV_READ, EV_WRITE or both, of what was watched. Or EV_ERROR, and maybe others: the kernel
 * does not watch the transport, for want of memory; no more events come. May destroy the stream.
 */
typedef void stream_ready_fn(void *owner, struct stream *stream, int events);

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
	/* What the driver waits for: EV_READ, EV_WRITE, both, or 0. It stays until the next call. */
	void (*watch)(struct stream *stream, int events);
	/* The peer is to see a reset, not an end, when the stream is destroyed. */
	void (*abort)(struct stream *stream);
	void (*facts)(const struct stream *stream, struct stream_facts *out);
	/* Addresses of the two ends; false: there are none. */
	bool (*peer)(const struct stream *stream, struct address *out);
	bool (*local)(const struct stream *stream, struct address *out);
	bool (*pending)(const struct stream *stream); /* readable, where poll cannot see it */
	/* A descriptor whose bytes are the stream's, to read or to write; -1: they are transformed. */
	int (*raw_in)(const struct stream *stream);
	int (*raw_out)(const struct stream *stream);
	/*
	 * For a stream whose first bytes are looked at before it is known what they are; NULL where
	 * that cannot be done. `peek` reads without taking. `want`: it is readable once so many bytes
	 * are there (SO_RCVLOWAT; 1: as usual). `is_ended`: nothing comes after what has come.
	 */
	enum io (*peek)(struct stream *stream, struct buf *buf);
	bool (*want)(struct stream *stream, size_t bytes);
	bool (*is_ended)(const struct stream *stream);
	/*
	 * Ends our direction of the transport if it has not ended, reads what the peer still sends
	 * into `scratch` and drops it (a socket closed with unread bytes sends a reset).
	 */
	enum io (*drain)(struct stream *stream, struct buf scratch);
	void (*destroy)(struct stream *stream);
};

struct stream {
	const struct stream_ops *ops;
	stream_ready_fn *on_ready;
	void *owner;       /* on_ready's: who drives the stream now */
	const char *error; /* after IO_FAIL; static or owned by the stream */
};

/* Who drives the stream from now on. */
static inline void stream_set_driver(struct stream *stream, stream_ready_fn *on_ready, void *owner)
{
	stream->on_ready = on_ready;
	stream->owner = owner;
}

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

static inline void stream_watch(struct stream *stream, int events)
{
	stream->ops->watch(stream, events);
}

static inline void stream_abort(struct stream *stream)
{
	stream->ops->abort(stream);
}

static inline void stream_facts(const struct stream *stream, struct stream_facts *out)
{
	stream->ops->facts(stream, out);
}

static inline bool stream_peer(const struct stream *stream, struct address *out)
{
	return stream->ops->peer(stream, out);
}

static inline bool stream_local(const struct stream *stream, struct address *out)
{
	return stream->ops->local(stream, out);
}

static inline bool stream_pending(const struct stream *stream)
{
	return stream->ops->pending(stream);
}

static inline int stream_raw_in(const struct stream *stream)
{
	return stream->ops->raw_in(stream);
}

static inline int stream_raw_out(const struct stream *stream)
{
	return stream->ops->raw_out(stream);
}

static inline enum io stream_peek(struct stream *stream, struct buf *buf)
{
	return stream->ops->peek(stream, buf);
}

static inline bool stream_want(struct stream *stream, size_t bytes)
{
	return stream->ops->want(stream, bytes);
}

static inline bool stream_is_ended(const struct stream *stream)
{
	return stream->ops->is_ended(stream);
}

static inline enum io stream_drain(struct stream *stream, struct buf scratch)
{
	return stream->ops->drain(stream, scratch);
}

/* NULL is fine. */
static inline void stream_destroy(struct stream *stream)
{
	if (stream)
		stream->ops->destroy(stream);
}

/* The words for EV_ERROR. */
#define STREAM_UNWATCHED "the kernel does not watch the connection"

/* The words for an errno of a connection. */
const char *stream_error_text(int error);

#endif
