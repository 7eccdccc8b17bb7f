#include "session/steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/plain_stream.h"
#include "net/source.h"
#include "session/counting.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS_TRIED_MOST 3

/* The addresses of a server that is known by name. */
struct dial {
	struct lookup *lookup; /* pending, or NULL */
	size_t count, next;
	const char *error;
	struct address addresses[RESOLVER_MAX];
};

static struct server *server_of(const struct session *session)
{
	return &session->route->backend->servers[session->server];
}

void dial_abandon(struct session *session)
{
	if (!session->dial)
		return;
	if (session->dial->lookup)
		lookup_cancel(session->dial->lookup);
	free(session->dial);
	session->dial = NULL;
}

/* The kernel's word on a connect that was begun: 0, an errno, or EINPROGRESS. */
static int connect_outcome(const struct session *session)
{
	struct pollfd poll_fd = {.fd = socket_fd(&session->upstream_socket), .events = POLLOUT};
	if (poll(&poll_fd, 1, 0) <= 0)
		return EINPROGRESS;
	if (poll_fd.revents & (POLLERR | POLLHUP))
		return socket_error(&session->upstream_socket);
	return 0;
}

static enum step_result next_server(struct session *session);
static enum step_result next_address(struct session *session);

static enum step_result give_up(struct session *session)
{
	if (!session->why)
		session_note_why(session, "upstream: no server left to try");
	if (session->client == &session->client_plain)
		return session_end(session, session->why);
	return refuse_politely(session, session->why);
}

/* The last failure is what the connection's line tells. */
static void note_failure(struct session *session, const char *reason)
{
	char why[256];
	snprintf(why, sizeof why, "upstream %s: %s",
		session->upstream_text ? session->upstream_text : server_of(session)->text, reason);
	free(session->why);
	session->why = NULL;
	session_note_why(session, why);
	count_dial_error(session);
}

static void log_turn(const struct session *session, enum log_level level, const char *message)
{
	struct log_line line;
	log_begin(&line, level, message);
	log_text(&line, "server", server_of(session)->text);
	log_text(&line, "reason", session->why);
	log_end(&line);
}

/* session->why was noted. */
static void let_go_of_server(struct session *session)
{
	struct server *server = server_of(session);
	if (server_failed(server))
		log_turn(session, LOG_WARNING_LEVEL, "server is avoided");
	server_left(server);
	session->server = -1;
	dial_abandon(session);
}

static enum step_result server_is_out(struct session *session)
{
	let_go_of_server(session);
	return next_server(session);
}

static enum step_result address_is_out(struct session *session, const char *reason)
{
	note_failure(session, reason);
	socket_close(&session->upstream_socket);
	if (session->dial && session->dial->next < session->dial->count)
		return next_address(session);
	return server_is_out(session);
}

void upstream_answered(struct session *session)
{
	free(session->why);
	session->why = NULL;
	if (server_answered(server_of(session)))
		log_turn(session, LOG_INFO_LEVEL, "server answers again");
}

enum step_result upstream_is_out(struct session *session, const char *reason)
{
	note_failure(session, reason);
	let_go_of_server(session);
	stream_destroy(session->upstream);
	session->upstream = NULL;
	socket_close(&session->upstream_socket);
	session->retry = false;
	return session_return_to(session, step_open_upstream);
}

static enum step_result opened(struct session *session)
{
	if (!server_of(session)->tls)
		upstream_answered(session);
	dial_abandon(session);
	session->retry = false;
	session->dial_us = clock_now_us() - session->dialled_us;
	session_wait(session, &session->upstream_socket, 0);
	plain_stream_init(&session->upstream_plain, &session->upstream_socket);
	session->upstream = &session->upstream_plain;
	return STEP_NEXT;
}

static enum step_result conclude(struct session *session)
{
	int outcome = connect_outcome(session);
	if (outcome == 0)
		return opened(session);
	if (outcome != EINPROGRESS)
		return address_is_out(session, stream_error_text(outcome));
	ev_tstamp left = session->dial_until - ev_now(session->service->lane.loop);
	if (left <= 0.001)
		return address_is_out(session, "dial timeout");
	session_wait(session, &session->upstream_socket, EV_WRITE);
	session_retry_after(session, left);
	return STEP_WAIT;
}

/* With more addresses behind it, one that does not answer gets a part of the time. */
static double patience(const struct session *session)
{
	double seconds = (double)routes_config(session->routes)->proxy.dial_timeout_ms / 1000;
	if (seconds <= 0)
		seconds = 3600;
	bool more = session->dial && session->dial->next < session->dial->count;
	return more && seconds > 1 ? seconds / 4 : seconds;
}

static enum step_result try_address(struct session *session, const struct address *address)
{
	session->dial_until = ev_now(session->service->lane.loop) + patience(session);
	int error = socket_connect(&session->upstream_socket, address);
	if (error)
		return address_is_out(session, stream_error_text(error));
	return conclude(session);
}

static enum step_result next_address(struct session *session)
{
	const struct address *address = &session->dial->addresses[session->dial->next++];
	char text[ADDRESS_TEXT_MAX];
	address_text(&address->any, address->len, text);
	free(session->upstream_text);
	session->upstream_text = strdup(text);
	return try_address(session, address);
}

static void on_resolved(
	void *owner, const struct address *addresses, size_t count, const char *error)
{
	struct session *session = owner;
	struct dial *dial = session->dial;
	bool waited = dial->lookup != NULL;
	dial->lookup = NULL;
	dial->error = error;
	dial->count = count;
	if (count > 0)
		memcpy(dial->addresses, addresses, count * sizeof *addresses);
	if (waited)
		session_advance(session);
}

static enum step_result resolved(struct session *session)
{
	if (session->dial->count > 0)
		return next_address(session);
	note_failure(session, session->dial->error ? session->dial->error : "no address");
	return server_is_out(session);
}

static enum step_result await_lookup(struct session *session)
{
	ev_tstamp left = session->dial_until - ev_now(session->service->lane.loop);
	if (left <= 0.001) {
		note_failure(session, "the name server does not answer");
		return server_is_out(session);
	}
	session_retry_after(session, left);
	return STEP_WAIT;
}

static enum step_result resolve(struct session *session, const struct endpoint *endpoint)
{
	session->dial = calloc(1, sizeof *session->dial);
	if (!session->dial)
		return session_end(session, "out of memory");
	session->dial->lookup = resolver_lookup(session->service->resolver, endpoint->host,
		endpoint->port, on_resolved, session);
	if (!session->dial->lookup)
		return resolved(session);
	session->dial_until = ev_now(session->service->lane.loop) + patience(session);
	return await_lookup(session);
}

static enum step_result next_server(struct session *session)
{
	struct backend *backend = session->route->backend;
	session->server = __builtin_popcount(session->tried) < SERVERS_TRIED_MOST
		? backend_choose(backend, session->tried, source_hash(&session->source.any))
		: -1;
	if (session->server < 0)
		return give_up(session);
	session->tried |= 1u << session->server;
	server_taken(server_of(session));
	free(session->upstream_text);
	session->upstream_text = NULL;
	struct endpoint endpoint;
	struct address address;
	struct err err;
	if (!endpoint_parse(server_of(session)->text, &endpoint, &err)) {
		note_failure(session, err.text);
		return server_is_out(session);
	}
	if (address_of_endpoint(&endpoint, &address))
		return try_address(session, &address);
	return resolve(session, &endpoint);
}

/*
 * Chooses a server, resolves its name, and connects; where that fails, the next address, then the
 * next server. The client has been admitted: before this step no backend hears of it.
 */
enum step_result step_open_upstream(struct session *session)
{
	if (socket_fd(&session->upstream_socket) >= 0)
		return conclude(session);
	if (session->dial)
		return session->dial->lookup ? await_lookup(session) : resolved(session);
	if (session->tried == 0)
		session->dialled_us = clock_now_us();
	session_set_deadline(session, 0, NULL);
	return next_server(session);
}
