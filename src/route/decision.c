#include "route/decision.h"

#include <stdio.h>

static void decide_alert(struct decision *out, enum alert alert, enum end_reason reason,
	const char *words, const char *detail)
{
	out->outcome = OUTCOME_ALERT;
	out->alert = alert;
	out->reason = reason;
	out->words = words;
	out->detail = detail;
}

static void decide_unreadable(const struct route_facts *facts, struct decision *out)
{
	switch (facts->verdict) {
	case HELLO_MORE:
		out->outcome = OUTCOME_WAIT;
		out->reason = END_NO_HELLO;
		out->words = "the ClientHello is incomplete";
		return;
	case HELLO_NOT_TLS:
		out->outcome = OUTCOME_CLOSE;
		out->reason = END_NOT_TLS;
		out->words = "not TLS";
		return;
	case HELLO_BROKEN:
	case HELLO_TOO_LARGE:
		decide_alert(out, ALERT_DECODE_ERROR, END_BAD_HELLO, facts->hello->error, NULL);
		return;
	case HELLO_WHOLE:
		return;
	}
}

/* The page is HTTP/1.1, which is agreed on if the client offers it. */
static bool can_read_page(struct span offered, struct span *agreed)
{
	bool is_web = offered.len == 0;
	struct span id;
	while (alpn_next(&offered, &id)) {
		if (span_equal(id, span_of("http/1.1", 8)))
			*agreed = id;
		is_web |= span_equal(id, span_of("h2", 2)) ||
			(id.len == 8 && memcmp(id.data, "http/1.", 7) == 0);
	}
	return is_web;
}

/* A client that speaks another protocol would take a page for the first bytes of that. */
static void decide_unknown_name(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	static const char words[] = "unknown server name";
	const struct client_hello *hello = facts->hello;
	const struct route *closest = NULL;
	bool is_web = !facts->preface || facts->preface->is_web;
	if (is_web && can_read_page(hello->alpn, &out->alpn))
		closest = routes_closest(routes, &hello->sni);
	if (!closest) {
		decide_alert(out, ALERT_UNRECOGNIZED_NAME, END_NO_HOST, words, NULL);
		return;
	}
	out->outcome = OUTCOME_PAGE_421;
	out->reason = END_NO_HOST;
	out->words = words;
	out->closest = closest;
	out->context = closest->tls_no_client_auth;
}

static void decide_route(
	const struct matched *matched, const struct route_facts *facts, struct decision *out)
{
	const struct preface *back = matched->route->backend->starttls;
	if (!facts->is_preface_unknown && !preface_fits(facts->preface, back)) {
		decide_alert(out, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"the greeting of the listener is not that of the backend", NULL);
		return;
	}
	out->route = matched->route;
	out->context = matched->route->tls;
	out->alpn = matched->alpn;
	if (facts->is_drained ||
		atomic_load_explicit(&matched->route->drained, memory_order_relaxed))
		decide_alert(out, ALERT_INTERNAL_ERROR, END_DRAINED, "drained", NULL);
}

void route_decide(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	const struct client_hello *hello = facts->hello;
	struct matched matched;
	*out = (struct decision){.outcome = OUTCOME_ROUTE};
	if (facts->verdict != HELLO_WHOLE) {
		decide_unreadable(facts, out);
		return;
	}
	if (hello->sni_error) {
		decide_alert(out, ALERT_ILLEGAL_PARAMETER, END_BAD_HELLO, "server name",
			hello->sni_error);
		return;
	}
	if (hello->alpn_error) {
		decide_alert(out, ALERT_DECODE_ERROR, END_BAD_HELLO, "ALPN", hello->alpn_error);
		return;
	}
	switch (routes_match(routes, hello, &matched)) {
	case MATCH_ROUTE:
		decide_route(&matched, facts, out);
		return;
	case MATCH_NO_NAME:
		decide_unknown_name(routes, facts, out);
		return;
	case MATCH_NO_PROTOCOL:
		decide_alert(out, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"no common application protocol", NULL);
		return;
	}
}

bool route_is_full(const struct route *route)
{
	return route->slots && atomic_load(&route->slots->active) >= route->max_connections;
}

void decision_refuse_full(struct decision *decision)
{
	decide_alert(decision, ALERT_INTERNAL_ERROR, END_LIMIT,
		"max_connections of the host reached", NULL);
}

void decision_text(const struct decision *decision, char out[DECISION_TEXT_MAX])
{
	const char *detail = decision->detail;
	snprintf(out, DECISION_TEXT_MAX, "%s%s%s", decision->words ? decision->words : "",
		detail ? " " : "", detail ? detail : "");
}

static void admit_without_certificate(const struct route *route, struct admission *out)
{
	switch (route->tls->policy.verify) {
	case TLS_VERIFY_NONE:
		*out = (struct admission){true, "no certificate is requested", {0}};
		return;
	case TLS_VERIFY_OPTIONAL:
		*out = (struct admission){true, "no certificate is required", {0}};
		return;
	case TLS_VERIFY_REQUIRED:
		*out = (struct admission){false, "no client certificate", {0}};
		return;
	}
}

void route_admit(
	const struct route *route, const struct client_facts *client, struct admission *out)
{
	if (!client->identity || route->tls->policy.verify == TLS_VERIFY_NONE) {
		admit_without_certificate(route, out);
		return;
	}
	*out = (struct admission){true, "every verified certificate is admitted", {0}};
	if (route->acl) {
		out->is_admitted = acl_check(route->acl, client->identity, &out->acl);
		out->why = out->acl.why;
	}
	if (client->verify_error) {
		out->is_admitted = false;
		out->why = "the certificate is not trusted";
	}
}
