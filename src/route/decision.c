#include "route/decision.h"

#include "route/host_table.h"
#include "route/plaintext.h"

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

static bool is_listed(const struct strings *names, const struct host *host)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i], host->name) == 0)
			return true;
	return false;
}

/* "hosts" of a listener: the others do not exist there, and their certificates are not shown. */
static bool is_served(const struct route_facts *facts, const struct host *host)
{
	const struct listener_config *listener = facts->listener;
	return listener->hosts.count == 0 || is_listed(&listener->hosts, host);
}

static const struct route *certificate_of_listed(
	const struct routes *routes, const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->hosts.count; i++) {
		const struct route *route = routes_find(
			routes, span_of_string(listener->hosts.items[i]), span_of(NULL, 0));
		if (route && route->tls)
			return route;
	}
	return NULL;
}

static const struct route *closest_of(const struct routes *routes, const struct route_facts *facts)
{
	if (facts->listener && facts->listener->hosts.count > 0)
		return certificate_of_listed(routes, facts->listener);
	return routes_closest(routes, &facts->hello->sni);
}

static bool speaks(const struct preface *const *prefaces, const struct preface *protocol)
{
	for (; prefaces && *prefaces; prefaces++)
		if (*prefaces == protocol)
			return true;
	return false;
}

/*
 * The id of a protocol that needs one, where it is spoken: by what preceded TLS, by the listener, or by the backend
 * (NULL: unknown). The client may have requested TLS or begin with it.
 */
static struct span protocol_id(const struct route_facts *facts, const struct preface *back)
{
	const struct preface *const *prefaces = facts->listener ? facts->listener->prefaces : NULL;
	struct span offered = facts->hello->alpn, id;
	if (!prefaces && !back && !facts->preface)
		return span_of(NULL, 0);
	while (alpn_next(&offered, &id)) {
		const struct preface *protocol = preface_of_alpn(id);
		if (protocol &&
			(protocol == back || protocol == facts->preface ||
				speaks(prefaces, protocol)))
			return id;
	}
	return span_of(NULL, 0);
}

/* Where the protocol has words for it, a client that will have its handshake hears them. */
static void decide_words(struct decision *out, const struct route *shown)
{
	if (!out->protocol || !out->protocol->refuse || !shown || !shown->tls_no_client_auth)
		return;
	out->outcome = OUTCOME_REFUSAL;
	out->context = shown->tls_no_client_auth;
}

/* A page is for who reads HTTP. */
static bool decide_page(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	bool is_web = !facts->preface || facts->preface->is_web;
	if (!is_web || !can_read_page(facts->hello->alpn, &out->alpn))
		return false;
	out->closest = closest_of(routes, facts);
	if (!out->closest)
		return false;
	out->outcome = OUTCOME_PAGE_421;
	out->context = out->closest->tls_no_client_auth;
	return true;
}

/* A client that speaks another protocol would take a page for the first bytes of that. */
static void decide_unknown_name(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	static const char words[] = "unknown server name";
	struct span id = protocol_id(facts, NULL);
	out->reason = END_NO_HOST;
	out->words = words;
	if (id.len == 0 && decide_page(routes, facts, out))
		return;
	decide_alert(out, ALERT_UNRECOGNIZED_NAME, END_NO_HOST, words, NULL);
	out->alpn = id;
	if (id.len > 0)
		out->protocol = preface_of_alpn(id);
	const struct route *closest = out->protocol ? closest_of(routes, facts) : NULL;
	decide_words(out, closest);
	out->closest = out->outcome == OUTCOME_REFUSAL ? closest : NULL;
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
static struct route *match_own(
	struct route *own, const struct route_facts *facts, struct span *agreed)
{
	struct span offered = facts->hello->alpn;
	if (!own || !own->tls || offered.len == 0)
		return own;
	if (own->offer_alpn.count == 0) {
		*agreed = protocol_id(facts, own->backend->starttls);
		return own;
	}
	for (size_t i = 0; i < own->offer_alpn.count; i++) {
		struct span id = span_of_string(own->offer_alpn.items[i]);
		if (is_offered(offered, id)) {
			*agreed = id;
			return own;
		}
	}
	return NULL;
}

const struct preface *decision_protocol_behind(const struct route *route)
{
	const struct preface *starttls = route->backend->starttls;
	return starttls && starttls->joined && !starttls->speaks_first ? starttls : NULL;
}

static void decide_route(
	const struct host *host, const struct route_facts *facts, struct decision *out)
{
	struct span offered = facts->hello->alpn;
	struct route *route = match_entry(host, offered, &out->alpn);
	if (!route)
		route = match_own(host->own, facts, &out->alpn);
	if (!route) {
		decide_alert(out, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"no common application protocol", NULL);
		return;
	}
	if (!facts->is_preface_unknown &&
		!preface_fits(facts->preface, route->backend->starttls, route->tls != NULL)) {
		decide_alert(out, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
			"the greeting of the listener is not that of the backend", NULL);
		return;
	}
	out->route = route;
	out->context = route->tls;
	if (!out->protocol && route->tls && out->alpn.len > 0)
		out->protocol = preface_of_alpn(out->alpn);
	if (!out->protocol && route->tls)
		out->protocol = decision_protocol_behind(route);
	if (facts->is_drained || atomic_load_explicit(&route->drained, memory_order_relaxed)) {
		decide_alert(out, ALERT_INTERNAL_ERROR, END_DRAINED, "drained", NULL);
		decide_words(out, route);
	}
}

/* "host" of a listener: all clients are for it; "default_host": those that send no name. */
const struct server_name *decision_name(const struct route_facts *facts)
{
	const struct listener_config *listener = facts->listener;
	const struct server_name *sent = &facts->hello->sni;
	if (!listener)
		return sent;
	if (listener->host)
		return listener->host;
	return listener->default_host && sent->len == 0 ? listener->default_host : sent;
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
	bool is_restricted = facts->listener && facts->listener->names_hosts;
	const struct server_name *name = is_restricted ? decision_name(facts) : &hello->sni;
	const struct host *host = routes_host_of(routes, name);
	if (host && (!is_restricted || is_served(facts, host)))
		decide_route(host, facts, out);
	else
		decide_unknown_name(routes, facts, out);
}

static void decide_close(struct decision *out, enum end_reason reason, const char *words)
{
	out->outcome = OUTCOME_CLOSE;
	out->reason = reason;
	out->words = words;
}

/* "plaintext" of a listener. A client that has requested TLS has to begin with it. */
static void decide_plaintext(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	const struct listener_config *listener = facts->listener;
	if (listener && listener->plaintext && !facts->preface)
		out->route = routes_plaintext(routes, listener, facts->plaintext);
	if (!out->route)
		decide_close(out, END_NOT_TLS, "not TLS");
	else if (facts->is_drained ||
		atomic_load_explicit(&out->route->drained, memory_order_relaxed))
		decide_close(out, END_DRAINED, "drained");
	else if (!out->route->backend)
		out->outcome = OUTCOME_REDIRECT;
}

void route_decide(
	const struct routes *routes, const struct route_facts *facts, struct decision *out)
{
	*out = (struct decision){.outcome = OUTCOME_ROUTE, .protocol = facts->preface};
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
		decide_plaintext(routes, facts, out);
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
	decide_words(decision, decision->route);
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
