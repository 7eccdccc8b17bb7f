#include "session/steps/steps.h"

#include "base/clock.h"
#include "tls/tls_stream.h"

#include <stdio.h>

#define ALPN_LIST_MAX 4096

static struct server *server_of(const struct session *session)
{
	return &session->route->backend->servers[session->server];
}

static size_t add_id(uint8_t *out, size_t used, struct span id)
{
	if (id.len == 0 || used + 1 + id.len > ALPN_LIST_MAX)
		return used;
	out[used] = (uint8_t)id.len;
	memcpy(out + used + 1, id.data, id.len);
	return used + 1 + id.len;
}

/* What was agreed on with the client is offered to the server; a forward says itself what to offer. */
static struct span alpn_list(const struct session *session, uint8_t out[ALPN_LIST_MAX])
{
	const struct strings *own = &session->route->offer_alpn;
	size_t used = 0;
	if (session->hello)
		return span_of(out, add_id(out, 0, session->hello->alpn));
	for (size_t i = 0; i < own->count; i++)
		used = add_id(out, used, span_of_string(own->items[i]));
	return span_of(out, used);
}

static bool begin(struct session *session, struct err *err)
{
	uint8_t list[ALPN_LIST_MAX];
	struct stream *stream = tls_connect_stream(&session->service->ctx,
		&session->upstream_socket, server_of(session)->tls, alpn_list(session, list), err);
	if (!stream)
		return false;
	session->upstream = stream;
	session->tls_started_us = clock_now_us();
	uint64_t ms = routes_config(session->routes)->proxy.handshake_timeout_ms;
	session->dial_until = ev_now(session->service->ctx.loop) + (double)ms / 1000;
	return true;
}

/* A server that fails verification is refused: nothing of the client's has reached it. */
static enum step_result failed(struct session *session, const char *reason)
{
	char why[512];
	snprintf(why, sizeof why, "handshake: %s", reason);
	return upstream_is_out(session, why);
}

static enum step_result wait_on(struct session *session)
{
	if (routes_config(session->routes)->proxy.handshake_timeout_ms > 0) {
		ev_tstamp left = session->dial_until - ev_now(session->service->ctx.loop);
		if (left <= 0.001)
			return failed(session, "timeout");
		session_retry_after(session, left);
	}
	socket_wait(&session->upstream_socket, stream_events(session->upstream, EV_READ));
	return STEP_WAIT;
}

enum step_result step_handshake_upstream(struct session *session)
{
	struct err err;
	if (!server_of(session)->tls)
		return STEP_NEXT;
	if (session->upstream == &session->upstream_plain && !begin(session, &err))
		return session_end(session, err.text);
	switch (stream_handshake(session->upstream)) {
	case IO_AGAIN:
		return wait_on(session);
	case IO_EOF:
	case IO_FAIL:
		return failed(session, session->upstream->error);
	case IO_DONE:
		break;
	}
	if (session->route->is_forward)
		session->handshake_us = clock_now_us() - session->tls_started_us;
	upstream_answered(session);
	session->retry = false;
	socket_wait(&session->upstream_socket, 0);
	return STEP_NEXT;
}
