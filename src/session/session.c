#include "session/session.h"

#include "base/clock.h"
#include "net/plain_stream.h"
#include "session/access_log.h"
#include "session/session_stats.h"
#include "session/steps/steps.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The timer is moved only when it must fire earlier; set too early, it looks again. */
static void arm(struct session *session, ev_tstamp at)
{
	struct ev_loop *loop = session->service->ctx.loop;
	ev_tstamp now = ev_now(loop);
	if (ev_is_active(&session->timer) && now + ev_timer_remaining(loop, &session->timer) <= at)
		return;
	ev_timer_stop(loop, &session->timer);
	ev_timer_set(&session->timer, at > now ? at - now : 0., 0.);
	ev_timer_start(loop, &session->timer);
}

void session_set_deadline(struct session *session, uint64_t ms, const char *timeout)
{
	session->deadline = 0;
	session->timeout = timeout;
	if (ms == 0)
		return;
	session->deadline = ev_now(session->service->ctx.loop) + (double)ms / 1000;
	arm(session, session->deadline);
}

void session_retry_after(struct session *session, double seconds)
{
	session->retry = true;
	arm(session, ev_now(session->service->ctx.loop) + seconds);
}

void session_set_expiry(struct session *session, double seconds)
{
	session->expires = 0;
	if (seconds < 0)
		return;
	session->expires = ev_now(session->service->ctx.loop) + seconds;
	arm(session, session->expires);
}

/* A relay's deadline counts from when bytes last moved. */
static ev_tstamp effective_deadline(const struct session *session)
{
	if (!session->relaying || session->deadline == 0)
		return session->deadline;
	uint64_t idle_ms = routes_config(session->routes)->proxy.idle_timeout_ms;
	return session->relaying->relay.active_at + (double)idle_ms / 1000;
}

static bool has_expired(const struct session *session)
{
	return session->expires > 0 && session->expires <= ev_now(session->service->ctx.loop);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct session *session = timer->data;
	ev_tstamp deadline = effective_deadline(session);
	(void)events;
	if (has_expired(session)) {
		session_end(session, "revalidate: the client's certificate has expired");
		return;
	}
	if (session->expires > 0)
		arm(session, session->expires);
	if (deadline > 0 && deadline <= ev_now(loop) + 0.001) {
		session_end(session, session->timeout);
		return;
	}
	if (deadline > 0)
		arm(session, deadline);
	if (session->retry) {
		session->retry = false;
		session_advance(session);
	}
}

static void on_ready(void *owner, struct socket *socket, int events)
{
	(void)socket, (void)events;
	session_advance(owner);
}

static void set_count(struct service *service, unsigned count)
{
	atomic_store_explicit(&service->count, count, memory_order_relaxed);
}

static void link_in(struct session *session)
{
	struct service *service = session->service;
	session->next = service->sessions;
	session->link = &service->sessions;
	if (session->next)
		session->next->link = &session->next;
	service->sessions = session;
	set_count(service, service_sessions(service) + 1);
	atomic_fetch_add(&service->limits->connections, 1);
}

static void link_out(struct session *session)
{
	session_iters_leave(session);
	*session->link = session->next;
	if (session->next)
		session->next->link = session->link;
	set_count(session->service, service_sessions(session->service) - 1);
	atomic_fetch_sub(&session->service->limits->connections, 1);
}

static void note_source(struct session *session, const struct sockaddr *source)
{
	if (source->sa_family == AF_INET)
		memcpy(&session->source.v4, source, sizeof session->source.v4);
	else if (source->sa_family == AF_INET6)
		memcpy(&session->source.v6, source, sizeof session->source.v6);
	else
		session->source.any.sa_family = AF_UNIX;
}

void session_source_text(const struct session *session, char out[ADDRESS_TEXT_MAX])
{
	socklen_t len = sizeof session->source.v6;
	if (session->source.any.sa_family == AF_INET)
		len = sizeof session->source.v4;
	else if (session->source.any.sa_family == AF_UNIX)
		len = sizeof(sa_family_t);
	address_text(&session->source.any, len, out);
}

const char *session_upstream_text(const struct session *session)
{
	if (session->upstream_text || session->server < 0)
		return session->upstream_text;
	return session->route->backend->servers[session->server].text;
}

void session_start(struct service *service, int fd, const struct sockaddr *source,
	const struct listener *listener, const struct step *steps, struct route *forward)
{
	struct ev_loop *loop = service->ctx.loop;
	struct session *session = calloc(1, sizeof *session);
	if (!session) {
		close(fd);
		return;
	}
	session->service = service;
	session->routes = routes_ref(service->routes);
	session->listener = listener;
	session->step = steps;
	session->route = forward;
	session->server = -1;
	session->began_us = clock_now_us();
	note_source(session, source);
	socket_init(&session->client_socket, loop, fd, on_ready, session);
	socket_init(&session->upstream_socket, loop, -1, on_ready, session);
	plain_stream_init(&session->client_plain, &session->client_socket);
	session->client = &session->client_plain;
	ev_init(&session->timer, on_timer);
	session->timer.data = session;
	link_in(session);
	count_started(session);
	session_set_deadline(
		session, routes_config(session->routes)->proxy.hello_timeout_ms, "hello timeout");
	session_advance(session);
}

void session_advance(struct session *session)
{
	for (;;) {
		switch (session->step->run(session)) {
		case STEP_NEXT:
			session->step++;
			break;
		case STEP_JUMP:
			break;
		case STEP_WAIT:
		case STEP_END:
			return;
		}
	}
}

enum step_result session_jump(struct session *session, const struct step *steps)
{
	session->step = steps;
	return STEP_JUMP;
}

enum step_result session_return_to(
	struct session *session, enum step_result (*run)(struct session *session))
{
	while (session->step->run != run)
		session->step--;
	return STEP_JUMP;
}

void session_note_why(struct session *session, const char *why)
{
	if (!session->why)
		session->why = strdup(why ? why : "unknown");
}

/* Something broke, or the time is up: nobody must take that for an end. */
static bool is_cut_off(const struct session *session)
{
	return session->relaying && !relay_has_ended(&session->relaying->relay);
}

static void close_sockets(struct session *session)
{
	void (*close_one)(struct socket *) = is_cut_off(session) ? socket_reset : socket_close;
	close_one(&session->client_socket);
	close_one(&session->upstream_socket);
}

enum step_result session_end(struct session *session, const char *why)
{
	struct service *service = session->service;
	ev_timer_stop(service->ctx.loop, &session->timer);
	dial_abandon(session);
	if (session->relaying)
		relay_finish(&session->relaying->relay);
	count_ended(session, session->why ? session->why : why);
	access_log(session, session->why ? session->why : why);
	close_sockets(session);
	stream_destroy(session->client);
	stream_destroy(session->upstream);
	if (session->server >= 0)
		server_left(&session->route->backend->servers[session->server]);
	if (session->route_counted)
		atomic_fetch_sub(&session->route->slots->active, 1);
	if (session->source_counted)
		sources_leave(service->limits->sources, &session->source.any);
	link_out(session);
	routes_unref(session->routes);
	free(session->upstream_text);
	free(session->relaying);
	free(session->hello);
	free(session->why);
	free(session);
	service->on_session_gone(service);
	return STEP_END;
}

void sessions_end_all(struct service *service, const char *why)
{
	while (service->sessions)
		session_end(service->sessions, why);
}
