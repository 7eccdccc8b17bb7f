#include "net/relay.h"

static bool is_broken(const struct pump *pump)
{
	return pump->state == PUMP_INPUT_BROKEN || pump->state == PUMP_OUTPUT_BROKEN;
}

static bool is_over(const struct pump *pump)
{
	return pump->state == PUMP_ENDED || is_broken(pump);
}

static struct stream *pump_culprit(const struct pump *pump)
{
	return pump->state == PUMP_INPUT_BROKEN ? pump->from : pump->to;
}

/* What this pump needs of that stream. */
static int pump_wants(const struct pump *pump, const struct stream *stream)
{
	if (pump->state == PUMP_NEEDS_INPUT && pump->from == stream)
		return EV_READ;
	if (pump->state == PUMP_NEEDS_OUTPUT && pump->to == stream)
		return EV_WRITE;
	return 0;
}

static void watch_streams(struct relay *relay)
{
	struct stream *client = relay->up.from, *upstream = relay->up.to;
	stream_watch(client, pump_wants(&relay->up, client) | pump_wants(&relay->down, client));
	stream_watch(
		upstream, pump_wants(&relay->up, upstream) | pump_wants(&relay->down, upstream));
}

/*
 * A peer that stopped reading may have sent something before: that is passed on before the reset.
 */
static void pass_last_bytes(struct relay *relay)
{
	if (relay->up.state == PUMP_OUTPUT_BROKEN && !is_over(&relay->down))
		pump_run(&relay->down, relay->ctx);
	if (relay->down.state == PUMP_OUTPUT_BROKEN && !is_over(&relay->up))
		pump_run(&relay->up, relay->ctx);
}

bool relay_has_ended(const struct relay *relay)
{
	return relay->up.state == PUMP_ENDED && relay->down.state == PUMP_ENDED;
}

static void relay_proceed(struct relay *relay)
{
	if (is_broken(&relay->up) || is_broken(&relay->down)) {
		struct pump *first = is_broken(&relay->up) ? &relay->up : &relay->down;
		struct stream *broken = pump_culprit(first);
		pass_last_bytes(relay);
		relay->on_ended(relay->owner, broken);
		return;
	}
	if (relay_has_ended(relay)) {
		relay->on_ended(relay->owner, NULL);
		return;
	}
	watch_streams(relay);
}

static void run_pump(struct pump *pump, const struct pump *other, struct loop_ctx *ctx)
{
	pump->is_last = other->state == PUMP_ENDED;
	pump_run(pump, ctx);
}

/* Bytes and time that pay for one unit of cost; and how far the credit may go up or down. */
#define BYTES_PER_UNIT   128
#define UNITS_PER_SECOND 1000
#define CREDIT_MAX       256

/* A callback's own cost, of some system calls. */
#define CALLBACK_COST 4

/* Of one that moves a few bytes. */
#define SHORT_COST (2 * CALLBACK_COST)

static double clamp_credit(double credit)
{
	return credit > CREDIT_MAX ? CREDIT_MAX : credit < -CREDIT_MAX ? -CREDIT_MAX : credit;
}

/* What bytes and time do not pay for is cost, in busy turns: in others nobody waits for it. */
static void relay_charge(struct relay *relay, unsigned cost)
{
	uint64_t bytes = relay->up.bytes + relay->down.bytes;
	double earned = (double)((bytes - relay->paid) / BYTES_PER_UNIT) +
		(relay->active_at - relay->paid_at) * UNITS_PER_SECOND;
	relay->paid = bytes;
	relay->paid_at = relay->active_at;
	relay->credit = (int)clamp_credit(clamp_credit(relay->credit + earned) - cost);
	if (cost > SHORT_COST && relay->credit >= 0) /* it moves much, and comes in rounds */
		relay->credit = -1;
}

/*
 * One that costs more than it pays for waits when the turn has cost enough; so does one that left something in
 * its last callback, since that was a long one.
 */
static bool has_to_wait(struct relay *relay, const struct stream *stream)
{
	if (relay->credit >= 0 && !stream_pending(stream))
		return false;
	return loop_ctx_has_to_wait(relay->ctx, &relay->round);
}

__attribute__((cold, noinline)) static void relay_unwatched(
	struct relay *relay, struct stream *stream)
{
	relay->is_unwatched = true;
	stream->error = STREAM_UNWATCHED;
	relay->on_ended(relay->owner, stream);
}

static void on_ready(void *owner, struct stream *stream, int events)
{
	struct relay *relay = owner;
	if (events & EV_ERROR) {
		relay_unwatched(relay, stream);
		return;
	}
	bool up = pump_wants(&relay->up, stream) & events;
	bool down = pump_wants(&relay->down, stream) & events;
	unsigned before = relay->ctx->turn_cost;
	bool is_busy = loop_ctx_is_busy(relay->ctx);
	if (is_busy && has_to_wait(relay, stream))
		return;
	relay->active_at = loop_ctx_now(relay->ctx);
	relay->ctx->turn_cost += CALLBACK_COST;
	if (up)
		run_pump(&relay->up, &relay->down, relay->ctx);
	if (down)
		run_pump(&relay->down, &relay->up, relay->ctx);
	if (is_busy)
		relay_charge(relay, relay->ctx->turn_cost - before);
	relay_proceed(relay);
}

void relay_start(struct relay *relay, struct loop_ctx *ctx, struct stream *client,
	struct stream *upstream, relay_ended_fn *on_ended, void *owner)
{
	relay->ctx = ctx;
	relay->on_ended = on_ended;
	relay->owner = owner;
	relay->active_at = loop_ctx_now(ctx);
	relay->credit = CREDIT_MAX;
	relay->paid = 0;
	relay->paid_at = relay->active_at;
	relay->round = 0;
	relay->is_unwatched = false;
	loop_ctx_watches_new(ctx);
	pump_init(&relay->up, client, upstream);
	pump_init(&relay->down, upstream, client);
	stream_set_driver(client, on_ready, relay);
	stream_set_driver(upstream, on_ready, relay);
	if (stream_raw_in(client) >= 0 || stream_pending(client))
		pump_run(&relay->up, ctx);
	if (stream_pending(upstream))
		pump_run(&relay->down, ctx);
	relay_proceed(relay);
}

void relay_finish(struct relay *relay)
{
	stream_watch(relay->up.from, 0);
	stream_watch(relay->up.to, 0);
	pump_finish(&relay->up, relay->ctx);
	pump_finish(&relay->down, relay->ctx);
}
