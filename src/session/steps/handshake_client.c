#include "base/clock.h"
#include "route/decision.h"
#include "session/handshakes.h"
#include "session/session_stats.h"
#include "session/steps/steps.h"
#include "tls/tls_accept.h"

#include <stdio.h>

/* Where only the certificate of a route is used, for a 421, its tickets belong to no route. */
static struct ticket_binding binding_of(const struct session *session)
{
	if (session->route)
		return route_ticket_binding(session->route, session->hello->sni);
	return (struct ticket_binding){.bytes = "no route"};
}

static bool on_admit(void *owner, const struct identity *identity, const char **why)
{
	struct session *session = owner;
	struct client_facts facts = {.identity = identity};
	struct admission admission;
	route_admit(session->route, &facts, &admission);
	count_acl(session, admission.is_admitted);
	session->at.handshake.is_denied = !admission.is_admitted;
	*why = admission.why;
	return admission.is_admitted;
}

/* A client that is refused in any case is not judged: its handshake carries the words. */
static bool has_rules(const struct session *session)
{
	return session->route && session->route->acl && !session->end_words;
}

static bool begin_handshake(struct session *session, struct err *err)
{
	struct tls_accept accept = {.context = session->context,
		.name = session->hello->sni,
		.alpn = session->hello->alpn,
		.binding = binding_of(session),
		.admit = has_rules(session) ? on_admit : NULL,
		.owner = session};
	struct stream *stream =
		tls_accept_stream(&session->service->ctx, session->client, &accept, err);
	if (!stream)
		return false;
	session->client = stream;
	session->at.handshake.started_us = clock_now_us();
	session->at.handshake.is_denied = false;
	session_set_deadline(session, routes_config(session->routes)->proxy.handshake_timeout_ms,
		END_HANDSHAKE, "handshake timeout");
	return true;
}

static enum step_result handshake_failed(struct session *session)
{
	bool is_denied = session->at.handshake.is_denied;
	char words[256];
	snprintf(words, sizeof words, "handshake: %s", session->client->error);
	return session_refuse(session, is_denied ? END_NOT_ADMITTED : END_HANDSHAKE, words);
}

static bool has_given_up(const struct session *session)
{
	return session->service->has_backlog && stream_is_ended(session->client);
}

/* Nothing of the client is read meanwhile; whether it has gone is seen when it is its turn. */
static enum step_result await_room(struct session *session)
{
	if (session->timeout_reason != END_LIMIT)
		session_set_deadline(session,
			routes_config(session->routes)->proxy.handshake_timeout_ms, END_LIMIT,
			"no room for its handshake (max_handshakes, handshake_rate)");
	stream_watch(session->client, 0);
	return STEP_WAIT;
}

/*
 * The handshake, with OpenSSL reading the very hello that was sniffed. The certificate is verified and the
 * ACL checked within it, so that a client that is refused gets an alert. A client must answer in a
 * handshake: one that has ended already waited too long for us.
 */
enum step_result step_handshake_client(struct session *session)
{
	struct err err;
	if (!session->context)
		return STEP_NEXT;
	if (session->is_step_new && loop_ctx_is_exhausted(&session->service->ctx)) {
		stream_watch(session->client, EV_READ); /* the hello, in the next turn */
		return STEP_WAIT;
	}
	if (session_enters_step(session)) {
		session->at.handshake.place = (struct handshake_place){0};
		if (has_given_up(session))
			return session_end(
				session, END_CLIENT_GONE, "client closed before its handshake");
	}
	if (session->at.handshake.place.at != HANDSHAKE_ACTIVE) {
		if (!handshakes_enter(session))
			return await_room(session);
		if (!begin_handshake(session, &err))
			return session_end(session, END_NO_MEMORY, err.text);
	}
	switch (stream_handshake(session->client)) {
	case IO_AGAIN:
		stream_watch(session->client, EV_READ);
		return STEP_WAIT;
	case IO_EOF:
	case IO_FAIL:
		return handshake_failed(session);
	case IO_DONE:
		break;
	}
	session->handshake_us = clock_now_us() - session->at.handshake.started_us;
	count_secured(session);
	stream_watch(session->client, 0);
	handshakes_leave(session);
	return session_secured(session);
}

void cancel_handshake_client(struct session *session)
{
	handshakes_leave(session);
}
