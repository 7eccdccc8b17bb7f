/*
 * What everything on one event loop shares: the loop, the pipes, and scratch memory that is used
 * within one callback and never across two. It belongs to one thread.
 *
 * The three scratch areas are apart because they are used at the same time: `plain` holds what a
 * pump moves (or the bytes that the sniffer peeked), `records_in` the records that a TLS stream is
 * about to open (or a hello joined from its records), `records_out` those it has just sealed.
 *
 * Time that decides something is taken from loop_ctx_now: CLOCK_MONOTONIC, as of this turn of the loop.
 *
 * A turn of the loop is kept short: work whose time does not show in its bytes (TLS records, handshakes, the
 * steps of a session) is charged in units of about 2.5 us, half of what a small record takes, and what can wait
 * does so when the turn has cost enough: its event comes again in the next. No clock is read for that.
 *
 * The order in which events come is not fair. So there are rounds: in busy turns, while somebody waits, nobody who
 * has had his callback in this round gets another.
 */
#ifndef GATEHOUSE_NET_LOOP_CTX_H
#define GATEHOUSE_NET_LOOP_CTX_H

#include "base/err.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_PLAIN_SIZE       (256 * 1024)
#define LOOP_RECORDS_IN_SIZE  (128 * 1024)
#define LOOP_RECORDS_OUT_SIZE (320 * 1024) /* LOOP_PLAIN_SIZE in records, and a handshake flight */

/* Of one turn, and of one callback. */
#define TURN_COST_MAX     800
#define CALLBACK_COST_MAX 256

/* Where much is moved: spliced, or as TLS records. */
#define LOOP_BYTES_PER_UNIT 4096

struct pipes;

struct loop_ctx {
	struct ev_loop *loop;
	struct pipes *pipes;
	uint8_t *plain, *records_in, *records_out;
	size_t held, held_max; /* bytes on the heap that wait for slow readers; at first no limit */
	size_t read_max;       /* half of what is left */
	unsigned spare_sockets; /* for attempts of a dial beside its first (dial/dial.h) */
	ev_timer far; /* never fires: libev says how long it still runs, and so what the time is */
	ev_prepare turn; /* its end */
	ev_timer check;  /* of loop_ctx_watches_new */
	bool has_new_watch;
	unsigned turn_cost;
	unsigned busy_cost; /* of this turn, from which on it is a busy one */
	unsigned round;
	bool has_waiting;          /* in this turn somebody had to wait */
	void (*on_turn_end)(void); /* NULL: nothing else is to be done then */
};

/* In memory that does not move until loop_ctx_finish. */
bool loop_ctx_init(struct loop_ctx *ctx, struct ev_loop *loop, struct err *err);
void loop_ctx_finish(struct loop_ctx *ctx);

static inline bool loop_ctx_is_exhausted(const struct loop_ctx *ctx)
{
	return ctx->turn_cost > TURN_COST_MAX;
}

/* Callbacks have to be short ones: this turn has cost something already, or somebody waits for it. */
static inline bool loop_ctx_is_busy(const struct loop_ctx *ctx)
{
	return ctx->turn_cost >= ctx->busy_cost;
}

/*
 * How much to read at once: what is read, the output may not take. At most half of what is left of the budget,
 * but `least` always, so that each connection goes on, slowly.
 */
static inline size_t loop_ctx_read_size(const struct loop_ctx *ctx, size_t size, size_t least)
{
	if (__builtin_expect(size <= ctx->read_max, 1))
		return size;
	size_t max = ctx->read_max > least ? ctx->read_max : least;
	return size < max ? size : max;
}

/* So many bytes more are held, or fewer. */
void loop_ctx_hold(struct loop_ctx *ctx, size_t more);
void loop_ctx_release(struct loop_ctx *ctx, size_t fewer);
void loop_ctx_limit_held(struct loop_ctx *ctx, size_t max);

bool loop_ctx_waits_for_round(struct loop_ctx *ctx, unsigned *round);

/*
 * Before a callback that may cost much: is there no room for it in this turn? `round` is the last in which its
 * owner had one in a busy turn; at first 0.
 */
static inline bool loop_ctx_has_to_wait(struct loop_ctx *ctx, unsigned *round)
{
	return loop_ctx_is_busy(ctx) && loop_ctx_waits_for_round(ctx, round);
}

/* Seconds on the monotonic clock, when this turn of the loop began; no system call. */
static inline ev_tstamp loop_ctx_now(const struct loop_ctx *ctx)
{
	return ctx->far.at - ev_timer_remaining(ctx->loop, (ev_timer *)&ctx->far);
}

void loop_ctx_check_soon(struct loop_ctx *ctx);

/*
 * A descriptor begins to be watched in this turn. Where epoll_ctl(2) fails, for want of memory or at the
 * limit of /proc/sys/fs/epoll, libev stops the watcher and says so (EV_ERROR) at the next event of the
 * loop only, which may be far away: a timer is one.
 */
static inline void loop_ctx_watches_new(struct loop_ctx *ctx)
{
	ctx->has_new_watch = true;
	if (!ev_is_active(&ctx->check))
		loop_ctx_check_soon(ctx);
}

/*
 * A new event loop: epoll, whatever LIBEV_FLAGS says, as what is measured and sandboxed is epoll.
 * Freed with ev_loop_destroy. NULL with `err`.
 */
struct ev_loop *loop_ctx_loop_create(struct err *err);

#endif
