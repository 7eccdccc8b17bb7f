#include "session/steps/steps.h"

#include "session/session_stats.h"

#include <stdio.h>
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

static enum step_result answer_unknown(struct session *session, const struct client_hello *hello)
{
	bool is_web = !session->preface || session->preface->is_web;
	const struct route *closest = is_web ? routes_answering(session->routes, hello) : NULL;
	if (!closest)
		return session_refuse_alert(
			session, ALERT_UNRECOGNIZED_NAME, END_NO_HOST, "unknown server name");
	session->context = closest->tls_no_client_auth;
	return session_jump(session, misdirected_steps);
}

static bool is_drained(const struct session *session)
{
	return atomic_load_explicit(&session->route->drained, memory_order_relaxed) ||
		atomic_load_explicit(&session->service->limits->drained, memory_order_relaxed);
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

/* A page, in the protocol that it is written in if the client has it. */
static struct span alpn_of_answer(const struct client_hello *hello)
{
	struct span list = hello->alpn, id;
	while (alpn_next(&list, &id))
		if (span_equal(id, span_of("http/1.1", 8)))
			return id;
	return span_of(NULL, 0);
}

static enum step_result refuse_hello(
	struct session *session, enum alert alert, const char *what, const char *error)
{
	char why[160];
	snprintf(why, sizeof why, "%s %s", what, error);
	return session_refuse_alert(session, alert, END_BAD_HELLO, why);
}

/* Runs in the callback that sniffed: the hello is still in the loop context's scratch. */
enum step_result step_choose_route(struct session *session)
{
	const struct client_hello *hello = &session->service->hello;
	struct matched matched;
	enum match match = routes_match(session->routes, hello, &matched);
	struct span alpn = match == MATCH_NO_NAME ? alpn_of_answer(hello) : matched.alpn;
	if (!keep_facts(session, hello, alpn))
		return session_end(session, END_NO_MEMORY, "out of memory");
	if (hello->sni_error)
		return refuse_hello(
			session, ALERT_ILLEGAL_PARAMETER, "server name", hello->sni_error);
	if (hello->alpn_error)
		return refuse_hello(session, ALERT_DECODE_ERROR, "ALPN", hello->alpn_error);
	if (match == MATCH_NO_NAME)
		return answer_unknown(session, hello);
	if (match == MATCH_NO_PROTOCOL)
		return session_refuse_alert(session, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"no common application protocol");
	if (!preface_fits(session->preface, matched.route->backend->starttls))
		return session_refuse_alert(session, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"the greeting of the listener is not that of the backend");
	session->route = matched.route;
	session->context = matched.route->tls;
	if (is_drained(session))
		return session_refuse_alert(session, ALERT_INTERNAL_ERROR, END_DRAINED, "drained");
	if (!acquire_slot(session))
		return session_refuse_alert(session, ALERT_INTERNAL_ERROR, END_LIMIT,
			"max_connections of the host reached");
	return STEP_NEXT;
}

/* A forward has its route from the beginning. */
enum step_result step_acquire_slot(struct session *session)
{
	if (is_drained(session))
		return session_end(session, END_DRAINED, "drained");
	if (!acquire_slot(session))
		return session_end(session, END_LIMIT, "max_connections of the forward reached");
	return STEP_NEXT;
}
