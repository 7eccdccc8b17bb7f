#include "session/steps/steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "dial/dial.h"
#include "net/plain_stream.h"
#include "net/source_hash.h"
#include "session/session_stats.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS_TRIED_MAX 3

static struct server *server_of(const struct session *session)
{
	return &session->route->backend->servers[session->server];
}

void dial_abandon(struct session *session)
{
	dial_cancel(session->dial);
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

static enum step_result attempt_failed(struct session *session, const char *reason)
{
	note_failure(session, reason);
	socket_close(&session->upstream_socket);
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
	session->retry = false;
	session->dial_us = clock_now_us() - session->dial_started_us;
	socket_wait(&session->upstream_socket, 0);
	plain_stream_init(&session->upstream_plain, &session->upstream_socket);
	session->upstream = &session->upstream_plain;
	return STEP_NEXT;
}

/* The step runs again when the attempt's time is over, or before that at an event. */
static bool has_time_left(struct session *session)
{
	ev_tstamp left = session->dial_until - ev_now(session->service->ctx.loop);
	if (left <= 0.001)
		return false;
	session_retry_after(session, left);
	return true;
}

static enum step_result conclude(struct session *session)
{
	int outcome = connect_outcome(session);
	if (outcome == 0)
		return opened(session);
	if (outcome != EINPROGRESS)
		return attempt_failed(session, stream_error_text(outcome));
	if (!has_time_left(session))
		return attempt_failed(session, "dial timeout");
	socket_wait(&session->upstream_socket, EV_WRITE);
	return STEP_WAIT;
}

static enum step_result await_dial(struct session *session)
{
	if (has_time_left(session))
		return STEP_WAIT;
	note_failure(session,
		dial_tried(session->dial)[0] ? "dial timeout" : "the name server does not answer");
	return server_is_out(session);
}

static void on_dialled(void *owner, const struct dial_result *result)
{
	struct session *session = owner;
	char text[ADDRESS_TEXT_MAX];
	session->dial = NULL;
	if (result->fd >= 0) {
		address_text(&result->address.any, result->address.len, text);
		session->upstream_text = strdup(text);
		socket_adopt(&session->upstream_socket, result->fd);
	} else {
		note_failure(session, result->why);
		let_go_of_server(session);
	}
	session_advance(session);
}

/* A server that is known by name: its addresses are tried as net/dial has it. */
static enum step_result dial_by_name(struct session *session, const struct endpoint *endpoint)
{
	struct err err;
	struct dial_setup setup = {.loop = session->service->ctx.loop,
		.resolver = session->service->resolver,
		.endpoint = endpoint,
		.family = AF_UNSPEC,
		.on_done = on_dialled,
		.owner = session};
	session->dial = dial_start(&setup, &err);
	return session->dial ? await_dial(session) : attempt_failed(session, err.text);
}

static enum step_result dial_address(struct session *session, const struct address *address)
{
	int error = socket_connect(&session->upstream_socket, address);
	return error ? attempt_failed(session, stream_error_text(error)) : conclude(session);
}

static double patience(const struct session *session)
{
	uint64_t ms = routes_config(session->routes)->proxy.dial_timeout_ms;
	return ms > 0 ? (double)ms / 1000 : 3600;
}

static enum step_result next_server(struct session *session)
{
	struct backend *backend = session->route->backend;
	session->server = __builtin_popcount(session->tried) < SERVERS_TRIED_MAX
		? backend_choose(backend, session->tried, source_hash(&session->source.any))
		: -1;
	if (session->server < 0)
		return give_up(session);
	session->tried |= 1u << session->server;
	server_taken(server_of(session));
	free(session->upstream_text);
	session->upstream_text = NULL;
	session->dial_until = ev_now(session->service->ctx.loop) + patience(session);
	struct endpoint endpoint;
	struct address address;
	struct err err;
	if (!endpoint_parse(server_of(session)->text, &endpoint, &err))
		return attempt_failed(session, err.text);
	if (address_of_endpoint(&endpoint, &address))
		return dial_address(session, &address);
	return dial_by_name(session, &endpoint);
}

/*
 * Chooses a server and connects to it; where that fails, to the next. The client has been admitted:
 * before this step no backend hears of it.
 */
enum step_result step_open_upstream(struct session *session)
{
	if (session->dial)
		return await_dial(session);
	if (socket_fd(&session->upstream_socket) >= 0)
		return conclude(session);
	if (session->tried == 0)
		session->dial_started_us = clock_now_us();
	session_set_deadline(session, 0, NULL);
	return next_server(session);
}
