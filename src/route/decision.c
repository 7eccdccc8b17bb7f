#include "route/decision.h"

#include "route/host_table.h"

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

/*
 * The page is HTTP/1.1, which is agreed on if the client offers it. One that offers "h2" and no such
 * version begins with HTTP/2 (RFC 9113 section 3.2), and does not read it.
 */
static bool can_read_page(struct span offered, struct span *agreed)
{
	bool is_web = offered.len == 0;
	struct span id;
	while (alpn_next(&offered, &id)) {
		if (span_equal(id, span_of("http/1.1", 8)))
			*agreed = id;
		is_web |= id.len == 8 && memcmp(id.data, "http/1.", 7) == 0;
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

static bool is_offered(struct span offered, struct span wanted)
{
	struct span id;
	while (alpn_next(&offered, &id))
		if (span_equal(id, wanted))
			return true;
	return false;
}

/* The first of the client's ids, in its order, that the host has an entry for. */
static struct route *match_entry(const struct host *host, struct span offered, struct span *agreed)
{
	struct span id;
	while (host->alpn_count > 0 && alpn_next(&offered, &id))
		for (uint32_t i = 0; i < host->alpn_count; i++)
			if (span_equal(host->alpn[i].alpn, id)) {
				*agreed = id;
				return &host->alpn[i];
			}
	return NULL;
}

/*
 * The host itself, and the first of its "offer_alpn" that the client offers. A client that offers
 * some, and none of those, is refused (RFC 7301 section 3.2).
 */
static struct route *match_own(struct route *own, struct span offered, struct span *agreed)
{
	if (!own || !own->tls || offered.len == 0 || own->offer_alpn.count == 0)
		return own;
	for (size_t i = 0; i < own->offer_alpn.count; i++) {
		struct span id = span_of_string(own->offer_alpn.items[i]);
		if (is_offered(offered, id)) {
			*agreed = id;
			return own;
		}
	}
	return NULL;
}

static void decide_route(
	const struct host *host, const struct route_facts *facts, struct decision *out)
{
	struct span offered = facts->hello->alpn;
	struct route *route = match_entry(host, offered, &out->alpn);
	if (!route)
		route = match_own(host->own, offered, &out->alpn);
	if (!route) {
		decide_alert(out, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"no common application protocol", NULL);
		return;
	}
	if (!facts->is_preface_unknown && !preface_fits(facts->preface, route->backend->starttls)) {
		decide_alert(out, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"the greeting of the listener is not that of the backend", NULL);
		return;
	}
	out->route = route;
	out->context = route->tls;
	if (facts->is_drained || atomic_load_explicit(&route->drained, memory_order_relaxed))
		decide_alert(out, ALERT_INTERNAL_ERROR, END_DRAINED, "drained", NULL);
}

static void decide_whole(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	const struct client_hello *hello = facts->hello;
	if (hello->sni_error) {
		decide_alert(out, ALERT_ILLEGAL_PARAMETER, END_BAD_HELLO, "server name",
			hello->sni_error);
		return;
	}
	if (hello->alpn_error) {
		decide_alert(out, ALERT_DECODE_ERROR, END_BAD_HELLO, "ALPN", hello->alpn_error);
		return;
	}
	const struct host *host = routes_host_of(routes, &hello->sni);
	if (host)
		decide_route(host, facts, out);
	else
		decide_unknown_name(routes, facts, out);
}

void route_decide(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	*out = (struct decision){.outcome = OUTCOME_ROUTE};
	switch (facts->verdict) {
	case HELLO_WHOLE:
		decide_whole(routes, facts, out);
		return;
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
