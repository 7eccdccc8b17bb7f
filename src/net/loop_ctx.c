#include "net/loop_ctx.h"

#include "net/pipes.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_COST   (TURN_COST_MAX / 2)
#define FAR_SECONDS 1e9 /* thirty years */

#define CHECK_SECONDS 0.1

static void on_far(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)timer, (void)events;
}

void loop_ctx_check_soon(struct loop_ctx *ctx)
{
	ev_timer_set(&ctx->check, CHECK_SECONDS, 0.);
	ev_timer_start(ctx->loop, &ctx->check);
}

/* What has begun since its start the kernel may have been told of in this turn, or will be in the next. */
static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct loop_ctx *ctx = timer->data;
	(void)loop, (void)events;
	if (ctx->has_new_watch)
		loop_ctx_check_soon(ctx);
	ctx->has_new_watch = false;
}

/* Nobody waits in a turn that is none. */
static void begin_after_busy_turn(struct loop_ctx *ctx)
{
	ctx->busy_cost = ctx->has_waiting ? 0 : BUSY_COST;
	ctx->round += !ctx->has_waiting;
	ctx->has_waiting = false;
}

static void on_turn(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct loop_ctx *ctx = prepare->data;
	(void)loop, (void)events;
	bool was_busy = loop_ctx_is_busy(ctx);
	ctx->turn_cost = 0;
	if (was_busy)
		begin_after_busy_turn(ctx);
	if (ctx->on_turn_end)
		ctx->on_turn_end();
}

/* They do not count as reasons to keep the loop running. */
static void start_watchers(struct loop_ctx *ctx)
{
	ev_timer_init(&ctx->check, on_check, CHECK_SECONDS, 0.);
	ctx->check.data = ctx;
	ev_timer_init(&ctx->far, on_far, FAR_SECONDS, 0.);
	ev_timer_start(ctx->loop, &ctx->far);
	ev_unref(ctx->loop);
	ev_prepare_init(&ctx->turn, on_turn);
	ctx->turn.data = ctx;
	ev_prepare_start(ctx->loop, &ctx->turn);
	ev_unref(ctx->loop);
}

static void stop_watchers(struct loop_ctx *ctx)
{
	if (!ev_is_active(&ctx->far))
		return;
	ev_timer_stop(ctx->loop, &ctx->check);
	ev_ref(ctx->loop);
	ev_timer_stop(ctx->loop, &ctx->far);
	ev_ref(ctx->loop);
	ev_prepare_stop(ctx->loop, &ctx->turn);
}

bool loop_ctx_init(struct loop_ctx *ctx, struct ev_loop *loop, struct err *err)
{
	*ctx = (struct loop_ctx){.loop = loop,
		.busy_cost = BUSY_COST,
		.round = 1,
		.pipes = pipes_create(),
		.spare_sockets = UINT_MAX,
		.held_max = SIZE_MAX,
		.read_max = SIZE_MAX / 2,
		.plain = malloc(LOOP_PLAIN_SIZE),
		.records_in = malloc(LOOP_RECORDS_IN_SIZE),
		.records_out = malloc(LOOP_RECORDS_OUT_SIZE)};
	start_watchers(ctx);
	if (ctx->pipes && ctx->plain && ctx->records_in && ctx->records_out)
		return true;
	loop_ctx_finish(ctx);
	err_set(err, "out of memory");
	return false;
}

void loop_ctx_finish(struct loop_ctx *ctx)
{
	stop_watchers(ctx);
	pipes_destroy(ctx->pipes);
	free(ctx->plain);
	free(ctx->records_in);
	free(ctx->records_out);
	*ctx = (struct loop_ctx){0}; /* once more, by an owner whose init failed, is no harm */
}

void loop_ctx_limit_held(struct loop_ctx *ctx, size_t max)
{
	ctx->held_max = max;
	ctx->read_max = ctx->held < max ? (max - ctx->held) / 2 : 0;
}

void loop_ctx_hold(struct loop_ctx *ctx, size_t more)
{
	ctx->held += more;
	loop_ctx_limit_held(ctx, ctx->held_max);
}

void loop_ctx_release(struct loop_ctx *ctx, size_t fewer)
{
	ctx->held -= fewer;
	loop_ctx_limit_held(ctx, ctx->held_max);
}

bool loop_ctx_waits_for_round(struct loop_ctx *ctx, unsigned *round)
{
	if (*round == ctx->round)
		return true;
	if (loop_ctx_is_exhausted(ctx)) {
		ctx->has_waiting = true;
		return true;
	}
	*round = ctx->round;
	return false;
}

struct ev_loop *loop_ctx_loop_create(struct err *err)
{
	errno = 0;
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!loop)
		err_set(err, "cannot create an event loop with epoll: %s",
			errno ? strerror(errno) : "libev has no such backend");
	return loop;
}
