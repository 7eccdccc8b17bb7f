#include "session/steps/steps.h"

#include "session/session_stats.h"

#include <stdlib.h>

#define OFFERED_SHOWN 120

static size_t write_offered(struct span alpn, char *out, size_t size)
{
	size_t used = 0;
	struct span id;
	out[0] = '\0';
	while (alpn_next(&alpn, &id) && used + 2 < size) {
		if (used > 0)
			out[used++] = ',';
		alpn_text(id, out + used, size - used);
		used += strlen(out + used);
	}
	return used;
}

/* The peeked bytes are gone when this callback returns; what the session needs of them is kept. */
static bool keep_facts(struct session *session, const struct client_hello *hello, struct span alpn)
{
	char offered[OFFERED_SHOWN];
	size_t sni_size = hello->sni.len + 1u;
	size_t offered_size = write_offered(hello->alpn, offered, sizeof offered) + 1;
	struct hello_facts *facts = malloc(sizeof *facts + alpn.len + sni_size + offered_size);
	if (!facts)
		return false;
	uint8_t *id = (uint8_t *)(facts + 1);
	if (alpn.len > 0)
		memcpy(id, alpn.data, alpn.len);
	facts->alpn = span_of(id, alpn.len);
	facts->sni = memcpy(id + alpn.len, hello->sni.text, sni_size);
	facts->alpn_offered = memcpy(facts->sni + sni_size, offered, offered_size);
	session->hello = facts;
	return true;
}

static bool all_drained(const struct session *session)
{
	return atomic_load_explicit(&session->service->limits->drained, memory_order_relaxed);
}

static bool is_drained(const struct session *session)
{
	return atomic_load_explicit(&session->route->drained, memory_order_relaxed) ||
		all_drained(session);
}

static bool acquire_slot(struct session *session)
{
	struct route *route = session->route;
	count_routed(session);
	if (!route->slots)
		return true;
	unsigned before = atomic_fetch_add(&route->slots->active, 1);
	session->is_route_counted = before < route->max_connections;
	if (!session->is_route_counted)
		atomic_fetch_sub(&route->slots->active, 1);
	return session->is_route_counted;
}

enum step_result session_refuse_decision(struct session *session, const struct decision *decision)
{
	char why[DECISION_TEXT_MAX];
	decision_text(decision, why);
	switch (decision->outcome) {
	case OUTCOME_PAGE_421:
		return session_jump(session, misdirected_steps);
	case OUTCOME_REFUSAL:
		session_decide_end(session, decision->reason, why);
		return session_jump(session, refusal_steps);
	case OUTCOME_ALERT:
		return session_refuse_alert(session, decision->alert, decision->reason, why);
	case OUTCOME_ROUTE:
	case OUTCOME_REDIRECT:
	case OUTCOME_WAIT:
	case OUTCOME_CLOSE:
		break;
	}
	return session_end(session, decision->reason, why);
}

static void adopt_protocol(struct session *session, const struct preface *protocol)
{
	session->is_direct_tls = protocol && !session->preface;
	session->preface = protocol;
}

/* Runs in the callback that sniffed: the hello is still in the loop context's scratch. */
enum step_result step_choose_route(struct session *session)
{
	const struct client_hello *hello = &session->service->hello;
	struct route_facts facts = {.verdict = HELLO_WHOLE,
		.hello = hello,
		.is_drained = all_drained(session),
		.preface = session->preface,
		.listener = session->listener_config};
	struct decision decision;
	route_decide(session->routes, &facts, &decision);
	if (!keep_facts(session, hello, decision.alpn))
		return session_end(session, END_NO_MEMORY, "out of memory");
	session->route = decision.route;
	session->context = decision.context;
	adopt_protocol(session, decision.protocol);
	if (decision.outcome == OUTCOME_ROUTE) {
		if (acquire_slot(session))
			return STEP_NEXT;
		decision_refuse_full(&decision);
		session->context = decision.context;
	}
	return session_refuse_decision(session, &decision);
}

/* A forward has its route from the beginning. */
enum step_result step_acquire_slot(struct session *session)
{
	if (is_drained(session))
		return session_end(session, END_DRAINED, "drained");
	if (!acquire_slot(session))
		return session_end(session, END_LIMIT, "max_connections of the forward reached");
	adopt_protocol(session, decision_protocol_behind(session->route));
	return session_secured(session);
}
