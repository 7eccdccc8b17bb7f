#include "session/session_stats.h"
#include "session/steps/peek.h"
#include "session/steps/steps.h"
#include "wire/http_request.h"

/*
 * Clients that do not speak TLS, on a listener with "plaintext": told apart by their first bytes, of which none is
 * taken, or by their silence.
 */

#define TIMER_SLACK 0.001

static const struct step passed_on_steps[] = {
	{"connect_upstream", step_connect_upstream, cancel_connect_upstream},
	{"relay", step_relay, NULL},
	{0},
};

static const struct step redirect_steps[] = {
	{"redirect", step_redirect, NULL},
	{0},
};

static enum step_result choose_plaintext(struct session *session, enum plaintext what)
{
	struct route_facts facts = {.verdict = HELLO_NOT_TLS,
		.hello = &session->service->hello,
		.is_drained = atomic_load_explicit(
			&session->service->limits->drained, memory_order_relaxed),
		.preface = session->preface,
		.listener = session->listener_config,
		.plaintext = what};
	struct decision decision;
	route_decide(session->routes, &facts, &decision);
	session->route = decision.route;
	if (decision.outcome != OUTCOME_ROUTE && decision.outcome != OUTCOME_REDIRECT)
		return session_refuse_decision(session, &decision);
	count_routed(session);
	return session_jump(
		session, decision.outcome == OUTCOME_ROUTE ? passed_on_steps : redirect_steps);
}

/* Only on listeners with "ssh_silence". */
enum step_result step_await_bytes(struct session *session)
{
	ev_tstamp now = loop_ctx_now(&session->service->ctx);
	size_t len;
	if (session_enters_step(session))
		session->at.silence_ends =
			now + (double)session->listener_config->plaintext->ssh_silence_ms / 1000;
	enum step_result seen = peek(session, 1, &len);
	if (seen == STEP_END)
		return seen;
	session->is_retry = false;
	if (seen == STEP_NEXT)
		return seen;
	if (now + TIMER_SLACK >= session->at.silence_ends) {
		stream_watch(session->client, 0);
		return choose_plaintext(session, PLAINTEXT_SSH);
	}
	session_retry_after(session, session->at.silence_ends - now);
	return STEP_WAIT;
}

enum step_result step_plaintext(struct session *session)
{
	struct peeking *peeking = &session->at.sniff;
	size_t len;
	if (session_enters_step(session))
		*peeking = (struct peeking){.ended = "client closed within its first line"};
	enum step_result seen = peek(session, HTTP_LINE_MAX, &len);
	if (seen != STEP_NEXT)
		return seen;
	enum plaintext what = plaintext_look(span_of(session->service->ctx.plain, len));
	if (what == PLAINTEXT_MORE)
		return peek_wait_for(session, peeking, len, len + 1);
	peek_done(session, peeking);
	return choose_plaintext(session, what);
}
