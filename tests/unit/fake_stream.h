/*
 * A stream that a test plays: what it has to read, what it takes, how it fails. Nothing of it waits for a
 * loop: the test calls fake_ready when it wants the driver to be woken.
 */
#ifndef GATEHOUSE_UNIT_FAKE_STREAM_H
#define GATEHOUSE_UNIT_FAKE_STREAM_H

#include "net/loop_ctx.h"
#include "net/stream.h"

#define FAKE_SIZE (128 * 1024)

/* All zero: open, nothing to read, takes whatever is written. */
struct fake_stream {
	struct stream stream;
	/* Bytes that have come, and how many of them were taken; then IO_AGAIN, or what is set. */
	uint8_t in[FAKE_SIZE];
	size_t in_len, in_taken;
	bool in_ended, in_broken, in_endless; /* FIN, reset, or bytes without end (drain alone) */
	uint8_t out[FAKE_SIZE];
	size_t out_len;
	bool out_broken, out_blocked;
	enum io end_result; /* of `end` */
	struct stream_facts facts;
	struct loop_ctx *ctx; /* each wake-up is a turn of its loop; NULL: of none */
	int watched;          /* the events that the driver waits for */
	size_t wanted;        /* by `want`; 0: never called */
	bool ignores_want;    /* as a unix socket does: any byte wakes the driver */
	unsigned half_closes; /* calls of `end`, of each kind */
	unsigned full_closes;
	unsigned aborts, destroys, peeks, drains;
};

static inline struct fake_stream *fake_of(const struct stream *stream)
{
	return (struct fake_stream *)stream; /* its first member */
}

static inline size_t fake_waiting(const struct fake_stream *fake)
{
	return fake->in_len - fake->in_taken;
}

static inline enum io fake_dry(struct fake_stream *fake)
{
	if (fake->in_broken) {
		fake->stream.error = "reset by peer";
		return IO_FAIL;
	}
	return fake->in_ended ? IO_EOF : IO_AGAIN;
}

static inline enum io fake_peek(struct stream *stream, struct buf *buf)
{
	struct fake_stream *fake = fake_of(stream);
	size_t len = fake_waiting(fake) < buf_room(buf) ? fake_waiting(fake) : buf_room(buf);
	fake->peeks++;
	if (len == 0)
		return fake_dry(fake);
	memcpy(buf->data + buf->end, fake->in + fake->in_taken, len);
	buf->end += len;
	return IO_DONE;
}

static inline enum io fake_read(struct stream *stream, struct buf *buf)
{
	size_t before = buf->end;
	enum io io = fake_peek(stream, buf);
	fake_of(stream)->peeks--;
	fake_of(stream)->in_taken += buf->end - before;
	return io;
}

static inline enum io fake_write(struct stream *stream, struct buf *buf)
{
	struct fake_stream *fake = fake_of(stream);
	size_t room = FAKE_SIZE - fake->out_len;
	size_t len = buf_used(buf) < room ? buf_used(buf) : room;
	if (fake->out_broken) {
		fake->stream.error = "reset by peer";
		return IO_FAIL;
	}
	if (len == 0 || fake->out_blocked)
		return buf_used(buf) > 0 ? IO_AGAIN : IO_DONE;
	memcpy(fake->out + fake->out_len, buf->data + buf->start, len);
	fake->out_len += len;
	buf->start += len;
	return buf_used(buf) > 0 ? IO_AGAIN : IO_DONE;
}

static inline enum io fake_handshake(struct stream *stream)
{
	(void)stream;
	return IO_DONE;
}

static inline enum io fake_end(struct stream *stream, enum closing closing)
{
	struct fake_stream *fake = fake_of(stream);
	if (closing == FULL_CLOSE)
		fake->full_closes++;
	else
		fake->half_closes++;
	return fake->end_result;
}

static inline void fake_watch(struct stream *stream, int events)
{
	fake_of(stream)->watched = events;
}

static inline void fake_abort(struct stream *stream)
{
	fake_of(stream)->aborts++;
}

static inline void fake_facts(const struct stream *stream, struct stream_facts *out)
{
	*out = fake_of(stream)->facts;
}

static inline bool fake_address(const struct stream *stream, struct address *out)
{
	(void)stream, (void)out;
	return false;
}

static inline bool fake_pending(const struct stream *stream)
{
	(void)stream;
	return false;
}

static inline int fake_raw(const struct stream *stream)
{
	(void)stream;
	return -1;
}

static inline bool fake_want(struct stream *stream, size_t bytes)
{
	fake_of(stream)->wanted = bytes;
	return true;
}

static inline bool fake_is_ended(const struct stream *stream)
{
	return fake_of(stream)->in_ended || fake_of(stream)->in_broken;
}

static inline enum io fake_drain(struct stream *stream, struct buf scratch)
{
	struct fake_stream *fake = fake_of(stream);
	fake->drains++;
	if (fake->in_endless)
		return IO_DONE;
	return fake_read(stream, &scratch);
}

static inline void fake_destroy(struct stream *stream)
{
	fake_of(stream)->destroys++;
	fake_of(stream)->watched = 0;
}

static inline struct stream *fake_init(struct fake_stream *fake)
{
	static const struct stream_ops ops = {
		.handshake = fake_handshake,
		.read = fake_read,
		.write = fake_write,
		.end = fake_end,
		.watch = fake_watch,
		.abort = fake_abort,
		.facts = fake_facts,
		.peer = fake_address,
		.local = fake_address,
		.pending = fake_pending,
		.raw_in = fake_raw,
		.raw_out = fake_raw,
		.peek = fake_peek,
		.want = fake_want,
		.is_ended = fake_is_ended,
		.drain = fake_drain,
		.destroy = fake_destroy,
	};
	memset(fake, 0, sizeof *fake);
	fake->stream.ops = &ops;
	return &fake->stream;
}

/* More has come. */
static inline void fake_feed(struct fake_stream *fake, const void *data, size_t len)
{
	memcpy(fake->in + fake->in_len, data, len);
	fake->in_len += len;
}

/* What poll would say now wakes the driver, if it waits for it. False: it does not. */
static inline bool fake_ready(struct fake_stream *fake)
{
	size_t low_water = fake->ignores_want || fake->wanted == 0 ? 1 : fake->wanted;
	bool readable =
		fake_waiting(fake) >= low_water || fake_is_ended(&fake->stream) || fake->in_endless;
	int events = (readable ? EV_READ : 0) | (fake->out_blocked ? 0 : EV_WRITE);
	events &= fake->watched;
	if (events == 0)
		return false;
	if (fake->ctx)
		ev_invoke(fake->ctx->loop, &fake->ctx->turn, EV_PREPARE);
	fake->stream.on_ready(fake->stream.owner, &fake->stream, events);
	return true;
}

#endif
