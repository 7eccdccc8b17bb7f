#include "session/engine.h"

#include "base/clock.h"
#include "net/socket.h"
#include "session/access_log.h"
#include "session/join.h"
#include "session/least_rate.h"
#include "session/session_iter.h"
#include "session/session_stats.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMER_SLACK 0.001

/* Time. The timer is moved only when it must fire earlier; set too early, it looks again. */

static ev_tstamp now_of(const struct session *session)
{
	return loop_ctx_now(&session->service->ctx);
}

static void arm_timer(struct session *session, ev_tstamp now, ev_tstamp at)
{
	struct ev_loop *loop = session->service->ctx.loop;
	if (ev_is_active(&session->timer) && now + ev_timer_remaining(loop, &session->timer) <= at)
		return;
	ev_timer_stop(loop, &session->timer);
	ev_timer_set(&session->timer, at > now ? at - now : 0., 0.);
	ev_timer_start(loop, &session->timer);
}

void session_set_deadline(
	struct session *session, uint64_t ms, enum end_reason reason, const char *words)
{
	session->deadline = 0;
	session->timeout_reason = reason;
	session->timeout_words = words;
	if (ms == 0)
		return;
	ev_tstamp now = now_of(session);
	session->deadline = now + (double)ms / 1000;
	arm_timer(session, now, session->deadline);
}

void session_retry_after(struct session *session, double seconds)
{
	ev_tstamp now = now_of(session);
	session->is_retry = true;
	arm_timer(session, now, now + seconds);
}

void session_set_expiry(struct session *session, double seconds)
{
	session->expires = 0;
	if (seconds < 0)
		return;
	ev_tstamp now = now_of(session);
	session->expires = now + seconds;
	arm_timer(session, now, session->expires);
}

void session_watch_rate(struct session *session)
{
	ev_tstamp now = now_of(session);
	session->sampled_at = now + LEAST_RATE_WINDOW;
	arm_timer(session, now, session->sampled_at);
}

/* True: the session has ended. */
static bool judge_rate(struct session *session, ev_tstamp now)
{
	if (session->sampled_at > now + TIMER_SLACK) {
		arm_timer(session, now, session->sampled_at);
		return false;
	}
	const char *breach = least_rate_breach(session);
	if (!breach) {
		session_watch_rate(session);
		return false;
	}
	session_end(session, END_SLOW, breach);
	return true;
}

/* A relay's deadline counts from when bytes last moved. */
static ev_tstamp effective_deadline(const struct session *session)
{
	if (!session->relay || session->deadline == 0)
		return session->deadline;
	uint64_t idle_ms = routes_config(session->routes)->proxy.idle_timeout_ms;
	return session->relay->active_at + (double)idle_ms / 1000;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct session *session = timer->data;
	ev_tstamp deadline = effective_deadline(session), now = now_of(session);
	(void)loop, (void)events;
	if (session->expires > 0 && session->expires <= now) {
		session_end(session, END_REVALIDATED,
			"revalidate: the client's certificate has expired");
		return;
	}
	if (session->expires > 0)
		arm_timer(session, now, session->expires);
	if (deadline > 0 && deadline <= now + TIMER_SLACK) {
		session_end(session, session->timeout_reason, session->timeout_words);
		return;
	}
	if (deadline > 0)
		arm_timer(session, now, deadline);
	if (session->sampled_at > 0 && judge_rate(session, now))
		return;
	if (session->is_retry) {
		session->is_retry = false;
		session_advance(session);
	}
}

/* Steps. What they cost is in units of loop_ctx. */

#define STEPS_COST 20 /* of those in one callback: looking at bytes, opening a connection */
#define END_COST   16 /* closing two connections, and a line of the log */

void session_advance(struct session *session)
{
	session->service->ctx.turn_cost += STEPS_COST;
	for (;;) {
		switch (session->step->run(session)) {
		case STEP_NEXT:
			session->step++;
			session->is_step_new = true;
			break;
		case STEP_JUMP:
			break;
		case STEP_WAIT:
		case STEP_END:
			return;
		}
	}
}

static void cancel_step(struct session *session)
{
	if (session->step->cancel && !session->is_step_new)
		session->step->cancel(session);
}

enum step_result session_jump(struct session *session, const struct step *steps)
{
	cancel_step(session);
	session->step = steps;
	session->is_step_new = true;
	return STEP_JUMP;
}

/* The beginning. */

static void set_count(struct service *service, unsigned count)
{
	atomic_store_explicit(&service->count, count, memory_order_relaxed);
}

static void link_session(struct session *session)
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

static void unlink_session(struct session *session)
{
	session_iters_leave(session);
	*session->link = session->next;
	if (session->next)
		session->next->link = session->link;
	set_count(session->service, service_sessions(session->service) - 1);
	atomic_fetch_sub(&session->service->limits->connections, 1);
}

static void set_source(struct session *session, const struct sockaddr *source)
{
	if (source->sa_family == AF_INET)
		memcpy(&session->source.v4, source, sizeof session->source.v4);
	else if (source->sa_family == AF_INET6)
		memcpy(&session->source.v6, source, sizeof session->source.v6);
	else
		session->source.any.sa_family = AF_UNIX;
}

static void on_client_ready(void *owner, struct stream *stream, int events)
{
	struct session *session = owner;
	(void)stream;
	if (events & EV_ERROR)
		session_end(session, END_NO_MEMORY, "client: " STREAM_UNWATCHED);
	else if (!loop_ctx_has_to_wait(&session->service->ctx, &session->round))
		session_advance(session);
}

void session_start(struct service *service, const struct session_start *start)
{
	struct session *session = calloc(1, sizeof *session);
	if (!session) {
		socket_reset_on_close(start->fd);
		close(start->fd);
		return;
	}
	session->service = service;
	session->routes = routes_ref(service->routes);
	session->listener = start->listener;
	session->listener_config = start->listener_config;
	session->step = start->steps;
	session->is_step_new = true;
	session->route = start->forward;
	session->server = -1;
	session->began_us = clock_now_us();
	set_source(session, start->source);
	session->client = plain_stream_init(&session->client_plain, service->ctx.loop, start->fd);
	stream_set_driver(session->client, on_client_ready, session);
	loop_ctx_watches_new(&service->ctx);
	ev_init(&session->timer, on_timer);
	session->timer.data = session;
	link_session(session);
	count_started(session);
	session_set_deadline(session, routes_config(session->routes)->proxy.hello_timeout_ms,
		END_NO_HELLO, "hello timeout");
	session_advance(session);
}

/* The end. */

static char words_lost[] = "unknown (out of memory)";

void session_decide_end(struct session *session, enum end_reason reason, const char *words)
{
	if (session->end_words)
		return;
	session->end_reason = reason;
	session->end_words = strdup(words ? words : "unknown");
	if (!session->end_words) /* the reason holds nevertheless */
		session->end_words = words_lost;
}

/* Something failed, was refused, or took too long: a peer must not take that for an end. */
static void abort_if_cut_off(struct session *session)
{
	if (session->relay ? relay_has_ended(session->relay) : session->is_end_due)
		return;
	stream_abort(session->client);
	if (session->upstream)
		stream_abort(session->upstream);
}

static void release_limits(struct session *session)
{
	if (session->server >= 0)
		server_left(&session->route->backend->servers[session->server]);
	if (session->is_route_counted)
		atomic_fetch_sub(&session->route->slots->active, 1);
	if (session->is_source_counted)
		sources_leave(session->service->limits->sources, &session->source.any);
}

enum step_result session_end(struct session *session, enum end_reason reason, const char *words)
{
	struct service *service = session->service;
	if (session->end_words) {
		reason = session->end_reason;
		words = session->end_words;
	}
	if (!words)
		words = "unknown";
	service->ctx.turn_cost += END_COST;
	ev_timer_stop(service->ctx.loop, &session->timer);
	if (session->relay)
		relay_finish(session->relay);
	count_ended(session, reason, words);
	access_log(session, reason, words);
	cancel_step(session);
	abort_if_cut_off(session);
	stream_destroy(session->client);
	stream_destroy(session->upstream);
	release_limits(session);
	unlink_session(session);
	if (session->join)
		join_destroy(session->join);
	if (session->cancel_key)
		cancel_keys_withdraw(service->limits->cancel_keys, session->cancel_key);
	routes_unref(session->routes);
	free(session->upstream_text);
	free(session->forwarding);
	free(session->hello);
	if (session->end_words != words_lost)
		free(session->end_words);
	free(session);
	service->on_session_gone(service);
	return STEP_END;
}

void sessions_end_all(struct service *service, enum end_reason reason, const char *words)
{
	while (service->sessions)
		session_end(service->sessions, reason, words);
}
