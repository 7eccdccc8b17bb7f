#include "session/steps/steps.h"

#include "base/clock.h"
#include "route/acl.h"
#include "session/session_stats.h"
#include "session/steps/peek.h"
#include "tls/tls_stream.h"

#include <stdio.h>

/* Where only the certificate of a route is used, for a 421, its tickets are nobody's. */
static struct ticket_binding binding_of(const struct session *session)
{
	if (session->route)
		return route_ticket_binding(session->route, session->hello->sni);
	return (struct ticket_binding){.bytes = "no route"};
}

static bool admit(void *owner, const struct identity *identity, const char **why)
{
	struct session *session = owner;
	struct acl_verdict verdict;
	bool is_admitted = acl_check(session->route->acl, identity, &verdict);
	count_acl(session, is_admitted);
	if (is_admitted)
		return true;
	*why = verdict.why;
	return false;
}

static bool begin(struct session *session, struct err *err)
{
	struct tls_accept accept = {.context = session->context,
		.name = session->hello->sni,
		.alpn = session->hello->alpn,
		.binding = binding_of(session),
		.admit = session->route && session->route->acl ? admit : NULL,
		.owner = session};
	struct stream *stream =
		tls_accept_stream(&session->service->ctx, &session->client_socket, &accept, err);
	if (!stream)
		return false;
	session->client = stream;
	session->tls_started_us = clock_now_us();
	session_set_deadline(session, routes_config(session->routes)->proxy.handshake_timeout_ms,
		"handshake timeout");
	return true;
}

static enum step_result failed(struct session *session)
{
	char why[256];
	snprintf(why, sizeof why, "handshake: %s", session->client->error);
	return refuse_politely(session, why);
}

/*
 * The handshake, with OpenSSL reading the very hello that was sniffed. The certificate is verified
 * and the ACL asked within it, so that whoever is not admitted gets an alert.
 */
enum step_result step_handshake_client(struct session *session)
{
	struct err err;
	if (!session->context)
		return STEP_NEXT;
	bool is_new = session->client == &session->client_plain;
	/* A client must answer in a handshake: one that has ended already waited too long for us. */
	if (is_new && session->service->has_backlog && peek_has_ended(session))
		return session_end(session, "client gave up");
	if (is_new && !begin(session, &err))
		return session_end(session, err.text);
	switch (stream_handshake(session->client)) {
	case IO_AGAIN:
		socket_wait(&session->client_socket, stream_events(session->client, EV_READ));
		return STEP_WAIT;
	case IO_EOF:
	case IO_FAIL:
		return failed(session);
	case IO_DONE:
		break;
	}
	session->handshake_us = clock_now_us() - session->tls_started_us;
	count_secured(session);
	socket_wait(&session->client_socket, 0);
	return STEP_NEXT;
}
