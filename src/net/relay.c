#include "net/relay.h"

static bool is_broken(const struct pump *pump)
{
	return pump->state == PUMP_INPUT_BROKEN || pump->state == PUMP_OUTPUT_BROKEN;
}

static bool is_over(const struct pump *pump)
{
	return pump->state == PUMP_ENDED || is_broken(pump);
}

static struct stream *culprit(const struct pump *pump)
{
	return pump->state == PUMP_INPUT_BROKEN ? pump->from : pump->to;
}

/* What this pump needs of that stream. */
static int wanted(const struct pump *pump, const struct stream *stream)
{
	if (pump->state == PUMP_NEEDS_INPUT && pump->from == stream)
		return stream_events(stream, EV_READ);
	if (pump->state == PUMP_NEEDS_OUTPUT && pump->to == stream)
		return stream_events(stream, EV_WRITE);
	return 0;
}

static void wait_for_more(struct relay *relay)
{
	struct stream *client = relay->up.from, *upstream = relay->up.to;
	socket_wait(client->socket, wanted(&relay->up, client) | wanted(&relay->down, client));
	socket_wait(
		upstream->socket, wanted(&relay->up, upstream) | wanted(&relay->down, upstream));
}

/*
 * A peer that stopped listening may have said something before: its last words are passed on
 * before the reset is.
 */
static void hear_closings(struct relay *relay)
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

static void proceed(struct relay *relay)
{
	if (is_broken(&relay->up) || is_broken(&relay->down)) {
		struct pump *first = is_broken(&relay->up) ? &relay->up : &relay->down;
		struct stream *broken = culprit(first);
		hear_closings(relay);
		relay->on_ended(relay->owner, broken);
		return;
	}
	if (relay_has_ended(relay)) {
		relay->on_ended(relay->owner, NULL);
		return;
	}
	wait_for_more(relay);
}

static void run(struct pump *pump, const struct pump *other, struct loop_ctx *ctx)
{
	pump->is_last = other->state == PUMP_ENDED;
	pump_run(pump, ctx);
}

static void on_ready(void *owner, struct socket *socket, int events)
{
	struct relay *relay = owner;
	const struct stream *stream =
		relay->up.from->socket == socket ? relay->up.from : relay->up.to;
	bool up = wanted(&relay->up, stream) & events;
	bool down = wanted(&relay->down, stream) & events;
	relay->active_at = ev_now(relay->ctx->loop);
	if (up)
		run(&relay->up, &relay->down, relay->ctx);
	if (down)
		run(&relay->down, &relay->up, relay->ctx);
	proceed(relay);
}

void relay_start(struct relay *relay, struct loop_ctx *ctx, struct stream *client,
	struct stream *upstream, relay_ended_fn *on_ended, void *owner)
{
	relay->ctx = ctx;
	relay->on_ended = on_ended;
	relay->owner = owner;
	relay->active_at = ev_now(ctx->loop);
	pump_init(&relay->up, client, upstream);
	pump_init(&relay->down, upstream, client);
	socket_hand_over(client->socket, on_ready, relay);
	socket_hand_over(upstream->socket, on_ready, relay);
	if (stream_raw_fd(client) >= 0 || stream_pending(client))
		pump_run(&relay->up, ctx);
	if (stream_pending(upstream))
		pump_run(&relay->down, ctx);
	proceed(relay);
}

void relay_finish(struct relay *relay)
{
	socket_wait(relay->up.from->socket, 0);
	socket_wait(relay->up.to->socket, 0);
	pump_finish(&relay->up, relay->ctx);
	pump_finish(&relay->down, relay->ctx);
}
