#include "session/revalidate.h"

#include "route/decision.h"
#include "session/keep_route.h"
#include "tls/cert/identity.h"
#include "tls/tls_accept.h"

#include <stdio.h>
#include <time.h>

/* A judgement takes about a tenth of a millisecond: others have their turn in between. */
#define JUDGED_AT_ONCE 32
#define KEPT_AT_ONCE   512 /* some microseconds each */
#define PAUSE_SECONDS  0.002

/* Of one that was admitted by a certificate; else NULL. */
static const struct identity *identity_to_judge(const struct session *session)
{
	return session->relay ? session_client_identity(session) : NULL;
}

/* The last day of a certificate is watched where the newest route says so. */
static void watch_expiry(
	struct session *session, const struct route *route, const struct identity *identity)
{
	bool is_watched = route && route->revalidate && identity->not_after != 0;
	double left = difftime((time_t)identity->not_after, time(NULL));
	session_set_expiry(session, !is_watched ? -1 : left > 0 ? left : 0);
}

/* What it would get now; a new host may have come between it and its old one. */
static struct route *route_now(const struct session *session)
{
	struct span name = span_of_string(session->hello->sni);
	if (session->routes == session->service->routes)
		return session->route;
	return routes_find(session->service->routes, name, session->hello->alpn);
}

/* NULL: still admitted. */
static const char *judge_session(
	struct session *session, const struct route *route, const struct identity *identity)
{
	struct client_facts facts = {.identity = identity};
	struct admission admission;
	if (!route)
		return session->revalidates ? "the route is gone" : NULL;
	session->revalidates = route->revalidate;
	if (!route->revalidate)
		return NULL;
	if (!route->tls || route->tls->policy.verify == TLS_VERIFY_NONE)
		return NULL;
	facts.verify_error = tls_accept_revalidate(session->client, route->tls);
	route_admit(route, &facts, &admission);
	if (admission.is_admitted)
		return NULL;
	return facts.verify_error ? facts.verify_error : admission.why;
}

static void close_session(struct session *session, const char *why)
{
	char text[256];
	snprintf(text, sizeof text, "revalidate: %s", why);
	session_end(session, END_REVALIDATED, text);
}

/* True when one was judged that costs time. */
static bool judge_one(struct session *session)
{
	const struct identity *identity = identity_to_judge(session);
	session->is_revalidated = true;
	if (!identity)
		return false;
	const struct route *route = route_now(session);
	const char *why = judge_session(session, route, identity);
	if (why)
		close_session(session, why);
	else
		watch_expiry(session, route, identity);
	return true;
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct service *service = timer->data;
	unsigned judged = 0, kept = 0;
	(void)events;
	for (struct session *session = service->sessions, *next; session; session = next) {
		next = session->next;
		if (session->is_revalidated)
			continue;
		if (judged == JUDGED_AT_ONCE || kept == KEPT_AT_ONCE)
			return;
		kept += session_keep_route(session);
		judged += judge_one(session);
	}
	ev_timer_stop(loop, timer);
}

void revalidate_init(struct service *service)
{
	ev_timer_init(&service->revalidation, on_pause_over, PAUSE_SECONDS, PAUSE_SECONDS);
	service->revalidation.data = service;
}

void revalidate_finish(struct service *service)
{
	ev_timer_stop(service->ctx.loop, &service->revalidation);
}

void revalidate_all(struct service *service)
{
	for (struct session *session = service->sessions; session; session = session->next)
		session->is_revalidated = false;
	if (service->sessions)
		ev_timer_again(service->ctx.loop, &service->revalidation);
}

/* One that was in its handshake while a reload was published is judged now. */
void revalidate_watch(struct session *session)
{
	struct service *service = session->service;
	const struct identity *identity = identity_to_judge(session);
	if (!identity)
		return;
	if (session->routes != service->routes)
		ev_timer_again(service->ctx.loop, &service->revalidation);
	session->is_revalidated = session->routes == service->routes;
	session->revalidates = session->route->revalidate;
	watch_expiry(session, session->route, identity);
}
