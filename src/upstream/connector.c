#include "upstream/connector.h"

#include "base/clock.h"
#include "net/socket.h"
#include "tls/tls_connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER_MAX (16 * 1024)

/* A conversation with the server before TLS. */
struct connector_talk {
	struct talk_state state;
	size_t len, size; /* of `heard`: the bytes that are not used, and the room */
	uint8_t heard[];
};

static enum connect_state connector_advance(struct connector *connector);

/* Failures. */

static enum connect_state connector_fail(
	struct connector *connector, enum connect_failure failure, const char *why)
{
	connector->failure = failure;
	if (why != connector->why)
		snprintf(connector->why, sizeof connector->why, "%.*s", CONNECT_WHY_MAX - 1, why);
	return connector->state = CONNECT_FAILED;
}

static enum connect_state fail_dial(struct connector *connector, int error)
{
	connector->error = error;
	return connector_fail(connector, CONNECT_DIAL, stream_error_text(error));
}

/* The protocol of the conversation. */
static const struct preface *talk_preface(const struct connector *connector)
{
	const struct connector_setup *setup = &connector->setup;
	return connector->phase == PHASE_GREETING ? setup->greeter : setup->starttls;
}

static enum connect_state fail_preface(struct connector *connector, const char *why)
{
	snprintf(connector->why, sizeof connector->why, "%s: %s", talk_preface(connector)->title,
		why);
	return connector_fail(connector, CONNECT_PREFACE, connector->why);
}

static enum connect_state fail_handshake(struct connector *connector, const char *why)
{
	snprintf(connector->why, sizeof connector->why, "handshake: %s", why);
	return connector_fail(connector, CONNECT_HANDSHAKE, connector->why);
}

/* The time limit. */

static void stop_limit(struct connector *connector)
{
	if (ev_is_active(&connector->limit))
		ev_timer_stop(connector->setup.ctx->loop, &connector->limit);
}

static void set_limit(struct connector *connector, uint64_t ms)
{
	stop_limit(connector);
	if (ms == 0)
		return;
	ev_timer_set(&connector->limit, (double)ms / 1000, 0.);
	ev_timer_start(connector->setup.ctx->loop, &connector->limit);
}

static const char *timeout_text(const struct connector *connector)
{
	if (connector->dial && !dial_tried(connector->dial)[0])
		return "the name server does not answer";
	return "dial timeout";
}

static enum connect_state connector_expire(struct connector *connector)
{
	connector->is_timeout = true;
	switch (connector->phase) {
	case PHASE_DIAL:
	case PHASE_CONNECT:
		return connector_fail(connector, CONNECT_DIAL, timeout_text(connector));
	case PHASE_HEADER:
		return connector_fail(connector, CONNECT_HEADER, "timeout");
	case PHASE_PREFACE:
	case PHASE_GREETING:
		return fail_preface(connector, "timeout");
	case PHASE_TLS:
		break;
	}
	return fail_handshake(connector, "timeout");
}

/* From the loop: goes on, and calls the owner when that is the end of it. */

static void connector_settle(struct connector *connector)
{
	if (connector->state == CONNECT_WAIT)
		return;
	stop_limit(connector);
	if (connector->stream)
		stream_watch(connector->stream, 0);
	connector->setup.on_done(connector->setup.owner);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct connector *connector = timer->data;
	(void)loop, (void)events;
	connector_expire(connector);
	connector_settle(connector);
}

static bool connector_has_to_wait(struct connector *connector)
{
	return loop_ctx_has_to_wait(connector->setup.ctx, &connector->round);
}

/* Of one event: some system calls. A handshake adds its own. */
#define EVENT_COST 4

static void on_ready(void *owner, struct stream *stream, int events)
{
	struct connector *connector = owner;
	(void)stream;
	if (events & EV_ERROR) {
		connector_fail(connector, CONNECT_DIAL, STREAM_UNWATCHED);
	} else {
		if (connector_has_to_wait(connector))
			return;
		connector->setup.ctx->turn_cost += EVENT_COST;
		connector_advance(connector);
	}
	connector_settle(connector);
}

/* TLS. */

static enum connect_state begin_talk(struct connector *connector, enum connect_phase phase);

/* All is done but a greeting that nobody waits for. */
static enum connect_state connector_secured(struct connector *connector)
{
	if (connector->setup.greeter)
		return begin_talk(connector, PHASE_GREETING);
	return connector->state = CONNECT_READY;
}

static enum connect_state shake_hands(struct connector *connector)
{
	struct stream *stream = connector->stream;
	switch (stream_handshake(stream)) {
	case IO_AGAIN:
		stream_watch(stream, EV_READ);
		return CONNECT_WAIT;
	case IO_EOF:
	case IO_FAIL:
		return fail_handshake(connector, stream->error);
	case IO_DONE:
		break;
	}
	return connector_secured(connector);
}

static enum connect_state begin_tls(struct connector *connector)
{
	const struct connector_setup *setup = &connector->setup;
	struct err err;
	if (!setup->tls)
		return connector_secured(connector);
	struct stream *tls =
		tls_connect_stream(setup->ctx, connector->stream, setup->tls, setup->alpn, &err);
	if (!tls)
		return connector_fail(connector, CONNECT_HANDSHAKE, err.text);
	connector->stream = tls;
	connector->phase = PHASE_TLS;
	return shake_hands(connector);
}

/* STARTTLS. */

static enum connect_state end_talk(struct connector *connector)
{
	free(connector->talk);
	connector->talk = NULL;
	if (connector->phase == PHASE_GREETING)
		return connector->state = CONNECT_READY;
	return begin_tls(connector);
}

static enum talk refuse_server(struct connector_talk *talk, const char *error)
{
	talk->state.error = error;
	return TALK_REFUSE;
}

/*
 * One turn of the conversation with what has come; what it says is sent. Bytes behind the answer could be
 * anybody's: the server has to be silent until TLS (CVE-2021-23222).
 */
static enum talk take_turn(struct connector *connector)
{
	struct connector_talk *talk = connector->talk;
	uint8_t room[PREFACE_SAY_MAX];
	struct buf words = {.data = room, .size = sizeof room};
	size_t used = 0;
	enum talk verdict = talk_preface(connector)->back(
		&talk->state, span_of(talk->heard, talk->len), &used, &words);
	talk->len -= used;
	memmove(talk->heard, talk->heard + used, talk->len);
	if (verdict == TALK_DONE && talk->len > 0)
		return refuse_server(talk, "the server sends bytes before TLS");
	/* A send queue that holds nothing has room for a line. */
	if (buf_used(&words) > 0 && stream_write(connector->stream, &words) != IO_DONE)
		return refuse_server(talk, "the server does not take the request");
	return verdict;
}

static enum connect_state talk_on(struct connector *connector)
{
	struct connector_talk *talk = connector->talk;
	enum talk verdict;
	do
		verdict = take_turn(connector);
	while (verdict == TALK_SAY && talk->len > 0);
	switch (verdict) {
	case TALK_MORE:
	case TALK_SAY:
		if (talk->len == talk->size)
			return fail_preface(connector, "the server's answer is too long");
		stream_watch(connector->stream, EV_READ);
		return CONNECT_WAIT;
	case TALK_DONE:
		return end_talk(connector);
	case TALK_NOT_MINE:
		return fail_preface(connector, "the server speaks another protocol");
	case TALK_LEAVE:
	case TALK_CANCEL:
	case TALK_CONNECT:
		return fail_preface(connector, "the conversation ends without TLS");
	case TALK_REFUSE:
		break;
	}
	return fail_preface(connector, talk->state.error);
}

static enum connect_state preface_read(struct connector *connector)
{
	struct connector_talk *talk = connector->talk;
	struct buf buf = {.data = talk->heard, .end = talk->len, .size = talk->size};
	switch (stream_read(connector->stream, &buf)) {
	case IO_AGAIN:
		stream_watch(connector->stream, EV_READ);
		return CONNECT_WAIT;
	case IO_EOF:
		return fail_preface(connector, "the server closed the connection");
	case IO_FAIL:
		return fail_preface(connector, connector->stream->error);
	case IO_DONE:
		break;
	}
	talk->len = buf.end;
	return talk_on(connector);
}

static const char *talk_host(const struct connector_setup *setup)
{
	if (setup->host || !setup->tls)
		return setup->host;
	return tls_peer_name(setup->tls);
}

static enum connect_state begin_talk(struct connector *connector, enum connect_phase phase)
{
	const struct connector_setup *setup = &connector->setup;
	connector->phase = phase;
	size_t size = preface_heard_max(talk_preface(connector));
	connector->talk = calloc(1, sizeof *connector->talk + size);
	if (!connector->talk)
		return fail_preface(connector, "out of memory");
	if (setup->greeting)
		setup->greeting->start = setup->greeting->end = 0;
	connector->talk->size = size;
	connector->talk->state = (struct talk_state){.is_plain = phase == PHASE_GREETING,
		.host = talk_host(setup),
		.greeting = setup->greeting,
		.memory = setup->memory};
	return talk_on(connector);
}

static enum connect_state begin_preface(struct connector *connector)
{
	if (!connector->setup.starttls)
		return begin_tls(connector);
	return begin_talk(connector, PHASE_PREFACE);
}

/* The header; a new connection's send buffer has room for it. */

static enum connect_state send_header(struct connector *connector)
{
	const struct connector_setup *setup = &connector->setup;
	connector->phase = PHASE_HEADER;
	if (!setup->write_header)
		return begin_preface(connector);
	struct buf buf = {.data = setup->ctx->plain, .size = HEADER_MAX};
	buf.end = setup->write_header(setup->owner, buf.data, HEADER_MAX);
	if (buf.end == 0 || stream_write(connector->stream, &buf) != IO_DONE)
		return connector_fail(
			connector, CONNECT_HEADER, "the server did not take the PROXY header");
	return begin_preface(connector);
}

/* Connecting. */

static void adopt_socket(struct connector *connector, int fd)
{
	const struct connector_setup *setup = &connector->setup;
	connector->stream = plain_stream_init(setup->plain, setup->ctx->loop, fd);
	stream_set_driver(connector->stream, on_ready, connector);
	loop_ctx_watches_new(setup->ctx);
}

static bool needs_answer(const struct connector_setup *setup)
{
	return setup->starttls || setup->tls || setup->greeter;
}

static enum connect_state connector_connected(struct connector *connector)
{
	const struct connector_setup *setup = &connector->setup;
	connector->connected_us = clock_now_us();
	socket_keep_alive(stream_raw_in(connector->stream), setup->keepalive_ms);
	if (setup->secure_ms != CONNECT_SAME_LIMIT)
		set_limit(connector, needs_answer(setup) ? setup->secure_ms : 0);
	return send_header(connector);
}

/* To one address; where it is a local one the answer is often there at once, which saves a turn. */
static enum connect_state conclude_connect(struct connector *connector)
{
	int outcome = socket_connect_outcome(stream_raw_in(connector->stream));
	if (outcome == 0)
		return connector_connected(connector);
	if (outcome != EINPROGRESS)
		return fail_dial(connector, outcome);
	stream_watch(connector->stream, EV_WRITE);
	return CONNECT_WAIT;
}

static enum connect_state connect_to(struct connector *connector, const struct address *address)
{
	connector->phase = PHASE_CONNECT;
	connector->address = *address;
	int fd = socket_connect(address);
	if (fd < 0)
		return fail_dial(connector, errno);
	adopt_socket(connector, fd);
	return conclude_connect(connector);
}

static void on_dialled(void *owner, const struct dial_result *result)
{
	struct connector *connector = owner;
	connector->dial = NULL;
	if (result->fd < 0) {
		connector->is_unresolved = result->unresolved;
		connector->error = result->error;
		connector_fail(connector, CONNECT_DIAL, result->why);
	} else {
		connector->address = result->address;
		adopt_socket(connector, result->fd);
		if (connector_has_to_wait(connector)) {
			connector->phase = PHASE_CONNECT;
			stream_watch(connector->stream, EV_WRITE);
			return;
		}
		connector_connected(connector);
	}
	connector_settle(connector);
}

/* A name: its addresses are tried as dial/dial has it. */
static enum connect_state dial_by_name(struct connector *connector)
{
	const struct connector_setup *setup = &connector->setup;
	struct err err;
	struct dial_setup dial = {.loop = setup->ctx->loop,
		.resolver = setup->resolver,
		.endpoint = setup->endpoint,
		.family = setup->family,
		.spare_sockets = &setup->ctx->spare_sockets,
		.on_done = on_dialled,
		.owner = connector};
	connector->phase = PHASE_DIAL;
	connector->is_by_name = true;
	connector->dial = dial_start(&dial, &err);
	if (!connector->dial)
		return connector_fail(connector, CONNECT_DIAL, err.text);
	return CONNECT_WAIT;
}

static enum connect_state connector_advance(struct connector *connector)
{
	switch (connector->phase) {
	case PHASE_CONNECT:
		return conclude_connect(connector);
	case PHASE_PREFACE:
	case PHASE_GREETING:
		return preface_read(connector);
	case PHASE_TLS:
		return shake_hands(connector);
	case PHASE_DIAL:
	case PHASE_HEADER:
		break;
	}
	return connector->state;
}

static bool is_family_wanted(const struct connector_setup *setup, const struct address *address)
{
	return setup->family == AF_UNSPEC || address->any.sa_family == AF_UNIX ||
		address->any.sa_family == setup->family;
}

void connector_init(struct connector *connector)
{
	connector->dial = NULL;
	connector->stream = NULL;
	connector->talk = NULL;
	connector->round = 0;
	ev_timer_init(&connector->limit, on_limit, 0., 0.);
	connector->limit.data = connector;
}

enum connect_state connector_start(struct connector *connector, const struct connector_setup *setup)
{
	struct address address;
	connector->setup = *setup;
	connector->state = CONNECT_WAIT;
	connector->is_by_name = connector->is_timeout = connector->is_unresolved = false;
	connector->error = 0;
	connector->address.len = 0;
	bool is_literal =
		address_of_endpoint(setup->endpoint, &address) && is_family_wanted(setup, &address);
	enum connect_state state =
		is_literal ? connect_to(connector, &address) : dial_by_name(connector);
	/* Where the answer comes at once no timer is touched. */
	bool is_dialling = connector->phase <= PHASE_CONNECT;
	if (state == CONNECT_WAIT && (is_dialling || setup->secure_ms == CONNECT_SAME_LIMIT))
		set_limit(connector, setup->dial_ms);
	else if (state != CONNECT_WAIT)
		stop_limit(connector);
	connector->setup.endpoint = NULL;
	return state;
}

struct stream *connector_take(struct connector *connector)
{
	struct stream *stream = connector->stream;
	connector->stream = NULL;
	return stream;
}

void connector_cancel(struct connector *connector)
{
	stop_limit(connector);
	dial_cancel(connector->dial);
	connector->dial = NULL;
	stream_destroy(connector->stream);
	connector->stream = NULL;
	free(connector->talk);
	connector->talk = NULL;
}

bool connector_tried(const struct connector *connector, char out[CONNECTOR_TRIED_MAX])
{
	if (connector->phase > PHASE_CONNECT)
		return false;
	out[0] = '\0';
	if (connector->dial)
		snprintf(out, CONNECTOR_TRIED_MAX, "%s", dial_tried(connector->dial));
	else if (connector->address.len > 0)
		address_text(&connector->address.any, connector->address.len, out);
	return true;
}
