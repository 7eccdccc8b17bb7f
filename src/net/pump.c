#include "net/pump.h"

#include "net/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Up to here copying is as cheap as splicing; one read of it on a raw pair tells which it is. */
#define SMALL_SIZE (32 * 1024)

/* What a read takes when the memory for slow readers is used up. */
#define LEAST_SIZE (4 * 1024)

/* Rounds in one call, so that one busy connection does not keep its loop from the others. */
#define ROUNDS_MAX 8

void pump_init(struct pump *pump, struct stream *from, struct stream *to)
{
	*pump = (struct pump){.from = from, .to = to, .state = PUMP_NEEDS_INPUT};
}

static void give_pipe(struct pump *pump, struct loop_ctx *ctx)
{
	if (pump->pipe)
		pipes_give(ctx->pipes, pump->pipe);
	pump->pipe = NULL;
}

__attribute__((cold, noinline)) static void free_held(struct pump *pump, struct loop_ctx *ctx)
{
	loop_ctx_release(ctx, pump->held.size);
	free(pump->held.data);
	pump->held = (struct buf){0};
}

void pump_finish(struct pump *pump, struct loop_ctx *ctx)
{
	give_pipe(pump, ctx);
	if (pump->held.data)
		free_held(pump, ctx);
}

/* Sets the state; true when the pump goes on within this call. */
static bool pump_rest(struct pump *pump, enum pump_state state)
{
	pump->state = state;
	return false;
}

static bool pump_go_on(struct pump *pump)
{
	pump->state = PUMP_NEEDS_INPUT;
	return true;
}

static bool pump_broken(struct pump *pump, struct stream *culprit)
{
	return pump_rest(pump, culprit == pump->from ? PUMP_INPUT_BROKEN : PUMP_OUTPUT_BROKEN);
}

static bool pump_broken_by_errno(struct pump *pump, struct stream *culprit)
{
	culprit->error = stream_error_text(errno);
	return pump_broken(pump, culprit);
}

/* What the output did not take is kept until it does. */
__attribute__((cold, noinline)) static bool pump_hold(
	struct pump *pump, struct loop_ctx *ctx, const struct buf *rest_of)
{
	size_t size = buf_used(rest_of);
	if (size == 0)
		return true;
	uint8_t *data = malloc(size);
	if (!data) {
		pump->to->error = "out of memory";
		return false;
	}
	memcpy(data, rest_of->data + rest_of->start, size);
	pump->held = (struct buf){.data = data, .end = size, .size = size};
	loop_ctx_hold(ctx, size);
	return true;
}

/* Not a failure of the connection: a kernel or a filter without splice, or a descriptor that has none. */
static bool is_splice_refused(int error)
{
	return error == ENOSYS || error == EINVAL || error == EPERM || error == EACCES ||
		error == EOPNOTSUPP;
}

static bool write_out(struct pump *pump, struct loop_ctx *ctx, struct buf *buf);

/* What is in the pipe already is read out, and written as what is copied. */
static bool copy_from_pipe(struct pump *pump, struct loop_ctx *ctx)
{
	struct pipe *pipe = pump->pipe;
	pipes_stop_splicing(ctx->pipes);
	while (pipe->used > 0) {
		size_t size = pipe->used < LOOP_PLAIN_SIZE ? pipe->used : LOOP_PLAIN_SIZE;
		ssize_t n = read(pipe->read_fd, ctx->plain, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return pump_broken_by_errno(pump, pump->to);
		pipe->used -= (size_t)n;
		struct buf buf = {.data = ctx->plain, .end = (size_t)n, .size = LOOP_PLAIN_SIZE};
		if (!write_out(pump, ctx, &buf))
			return false;
	}
	give_pipe(pump, ctx);
	return pump_go_on(pump);
}

static bool drain_pipe(struct pump *pump, struct loop_ctx *ctx)
{
	struct pipe *pipe = pump->pipe;
	while (pipe->used > 0) {
		ssize_t n = splice(pipe->read_fd, NULL, stream_raw_out(pump->to), NULL, pipe->used,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n > 0) {
			pipe->used -= (size_t)n;
			pump->bytes += (uint64_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			return pump_rest(pump, PUMP_NEEDS_OUTPUT);
		} else if (n < 0 && is_splice_refused(errno)) {
			return copy_from_pipe(pump, ctx);
		} else if (n == 0 || errno != EINTR) {
			return pump_broken_by_errno(pump, pump->to);
		}
	}
	if (!pump->bulk)
		give_pipe(pump, ctx);
	return pump_go_on(pump);
}

/* What was read before must be gone before more is read: the order of the bytes, and back-pressure. */
static bool pump_flush(struct pump *pump, struct loop_ctx *ctx)
{
	bool has_piped = pump->pipe && pump->pipe->used > 0;
	if (has_piped && !pump->held.data)
		return drain_pipe(pump, ctx);
	size_t before = buf_used(&pump->held);
	enum io io = stream_write(pump->to, &pump->held);
	pump->bytes += before - buf_used(&pump->held);
	if (io == IO_FAIL)
		return pump_broken(pump, pump->to);
	if (io == IO_AGAIN)
		return pump_rest(pump, PUMP_NEEDS_OUTPUT);
	free_held(pump, ctx);
	return has_piped ? drain_pipe(pump, ctx) : pump_go_on(pump);
}

/* The kernel tells of a reset once: where writing heard of it, reading sees what looks like an end. */
static bool end_input(struct pump *pump)
{
	if (pump->from->error)
		return pump_broken(pump, pump->from);
	pump->input_over = true;
	return pump_go_on(pump);
}

static bool end_output(struct pump *pump, struct loop_ctx *ctx)
{
	give_pipe(pump, ctx);
	switch (stream_end(pump->to, pump->is_last ? FULL_CLOSE : HALF_CLOSE)) {
	case IO_AGAIN:
		return pump_rest(pump, PUMP_NEEDS_OUTPUT);
	case IO_FAIL:
		return pump_broken(pump, pump->to);
	case IO_DONE:
	case IO_EOF:
		break;
	}
	return pump_rest(pump, PUMP_ENDED);
}

static inline bool write_out(struct pump *pump, struct loop_ctx *ctx, struct buf *buf)
{
	size_t before = buf_used(buf);
	enum io io = stream_write(pump->to, buf);
	pump->bytes += before - buf_used(buf);
	if (io == IO_FAIL || (io == IO_AGAIN && !pump_hold(pump, ctx, buf)))
		return pump_broken(pump, pump->to);
	if (io == IO_AGAIN)
		return pump_rest(pump, PUMP_NEEDS_OUTPUT);
	return pump_go_on(pump);
}

static bool pump_copy(struct pump *pump, struct loop_ctx *ctx, size_t size)
{
	struct buf buf = {.data = ctx->plain, .size = loop_ctx_read_size(ctx, size, LEAST_SIZE)};
	switch (stream_read(pump->from, &buf)) {
	case IO_AGAIN:
		return pump_rest(pump, PUMP_NEEDS_INPUT);
	case IO_EOF:
		return end_input(pump);
	case IO_FAIL:
		return pump_broken(pump, pump->from);
	case IO_DONE:
		break;
	}
	pump->bulk = buf_room(&buf) == 0;
	return write_out(pump, ctx, &buf) && (pump->bulk || stream_pending(pump->from));
}

static bool splice_failed(struct pump *pump, struct loop_ctx *ctx)
{
	int error = errno;
	bool is_refused = is_splice_refused(error);
	give_pipe(pump, ctx);
	if (error == EAGAIN || error == EINTR)
		return pump_rest(pump, PUMP_NEEDS_INPUT);
	if (is_refused)
		pipes_stop_splicing(ctx->pipes);
	errno = error;
	return is_refused ? pump_copy(pump, ctx, LOOP_PLAIN_SIZE)
			  : pump_broken_by_errno(pump, pump->from);
}

/*
 * EAGAIN from splice says "socket empty" or "pipe full"; with an empty pipe it can only be the first,
 * and a pipe is empty whenever this begins.
 */
static bool splice_through(struct pump *pump, struct loop_ctx *ctx)
{
	struct pipe *pipe = pump->pipe;
	ssize_t n = splice(stream_raw_in(pump->from), NULL, pipe->write_fd, NULL, pipe->capacity,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n == 0)
		return end_input(pump);
	if (n < 0)
		return splice_failed(pump, ctx);
	pipe->used = (size_t)n;
	ctx->turn_cost += (unsigned)n / LOOP_BYTES_PER_UNIT;
	bool filled = pipe->used == pipe->capacity;
	pump->bulk = pipe->used >= SMALL_SIZE;
	if (!drain_pipe(pump, ctx))
		return false;
	if (filled && pump->pipe) /* where splice is refused it has been given back */
		pipes_grow(ctx->pipes, pump->pipe);
	return filled;
}

static bool pump_move(struct pump *pump, struct loop_ctx *ctx)
{
	bool raw = stream_raw_in(pump->from) >= 0 && stream_raw_out(pump->to) >= 0;
	if (!pump->bulk)
		return pump_copy(pump, ctx, raw ? SMALL_SIZE : LOOP_PLAIN_SIZE);
	if (raw && !pump->pipe)
		pump->pipe = pipes_take(ctx->pipes);
	if (raw && pump->pipe)
		return splice_through(pump, ctx);
	ctx->turn_cost += LOOP_PLAIN_SIZE / LOOP_BYTES_PER_UNIT;
	return pump_copy(pump, ctx, LOOP_PLAIN_SIZE);
}

/* Another round is for what is cheap, and in a busy turn for what costs nothing. */
static bool has_round(
	const struct pump *pump, const struct loop_ctx *ctx, int round, unsigned before)
{
	unsigned max = loop_ctx_is_busy(ctx) ? 1 : CALLBACK_COST_MAX;
	return pump->input_over || (round < ROUNDS_MAX && ctx->turn_cost - before < max);
}

void pump_run(struct pump *pump, struct loop_ctx *ctx)
{
	unsigned before = ctx->turn_cost;
	bool going;
	int round = 0;
	do {
		if (pump->state == PUMP_NEEDS_OUTPUT)
			going = pump_flush(pump, ctx);
		else if (pump->input_over)
			going = end_output(pump, ctx);
		else
			going = pump_move(pump, ctx);
	} while (going && has_round(pump, ctx, ++round, before));
	if (pump->pipe && pump->state == PUMP_NEEDS_INPUT)
		give_pipe(pump, ctx);
}
