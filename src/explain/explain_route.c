#include "explain/explain.h"

#include "route/host_table.h"

/* Refusals. */

static void print_answer(struct out *out, const struct decision *decision)
{
	char text[64];
	switch (decision->outcome) {
	case OUTCOME_ROUTE:
		return;
	case OUTCOME_REDIRECT:
		out_text(out, "answer", "308 Permanent Redirect to https");
		return;
	case OUTCOME_WAIT:
		out_text(out, "answer", "none: gatehouse waits for the rest until hello_timeout");
		return;
	case OUTCOME_CLOSE:
		out_text(out, "answer", "none: the connection is closed");
		return;
	case OUTCOME_ALERT:
		snprintf(text, sizeof text, "alert %s", alert_name(decision->alert));
		out_text(out, "answer", text);
		return;
	case OUTCOME_PAGE_421:
		out_text(out, "answer",
			"421 Misdirected Request, under the certificate of another host");
		return;
	case OUTCOME_REFUSAL:
		snprintf(text, sizeof text, "an error of %s, after the handshake",
			decision->protocol->title);
		out_text(out, "answer", text);
		return;
	}
}

static void print_refusal(
	struct out *out, const struct decision *decision, const struct server_name *name)
{
	char words[DECISION_TEXT_MAX], why[256];
	bool has_no_name = decision->reason == END_NO_HOST && name->len == 0;
	decision_text(decision, words);
	snprintf(why, sizeof why, "%s%s", words,
		has_no_name ? " (the client sends none, and there is no \"*\")" : "");
	out_text(out, "why", why);
	print_answer(out, decision);
}

static void print_closest(struct out *out, const struct decision *decision)
{
	out_text(out, "closest_host", decision->closest->host);
	explain_certificates(out, decision->context);
}

static void print_protocols(
	struct out *out, const struct routes *routes, const struct server_name *name)
{
	const struct host *host = routes_host_of(routes, name);
	char text[ALPN_TEXT_MAX];
	out_text(out, "host", host->name);
	out_list(out, "protocols");
	for (uint32_t i = 0; i < host->alpn_count; i++) {
		alpn_text(host->alpn[i].alpn, text, sizeof text);
		out_text(out, NULL, text);
	}
	for (size_t i = 0; host->own && i < host->own->offer_alpn.count; i++) {
		alpn_text(span_of_string(host->own->offer_alpn.items[i]), text, sizeof text);
		out_text(out, NULL, text);
	}
	out_close(out);
}

/* Routes. */

static const char *match_of(const struct route *route)
{
	if (strcmp(route->host, "*") == 0)
		return "catch-all";
	return route->host[0] == '*' ? "wildcard" : "exact";
}

static const char *why_host(const struct route *route, const struct route_facts *known)
{
	const struct server_name *name = decision_name(known);
	if (name != &known->hello->sni)
		return name == known->listener->host ? "the \"host\" of the listener"
						     : "the \"default_host\" of the listener";
	if (strcmp(route->host, "*") == 0)
		return name->len > 0 ? "no other host has this name" : "the client sends no name";
	return route->host[0] == '*' ? "the longest wildcard that the name is below"
				     : "the host of exactly this name";
}

static const char *why_alpn(
	const struct host *host, const struct route *route, const struct client_hello *hello)
{
	if (route->alpn.len > 0)
		return "the client's first protocol that has an \"alpn\" entry there";
	if (host->alpn_count == 0)
		return "it has no \"alpn\" entries";
	return hello->alpn.len > 0 ? "no protocol offered has an \"alpn\" entry there"
				   : "the client offers no protocol";
}

static void print_id(struct out *out, const char *key, struct span id)
{
	char text[ALPN_TEXT_MAX];
	alpn_text(id, text, sizeof text);
	out_text(out, key, id.len > 0 ? text : NULL);
}

static void print_choice(struct out *out, const struct routes *routes,
	const struct route_facts *known, const struct route *route)
{
	char why[256];
	const struct host *host = routes_host_of(routes, decision_name(known));
	snprintf(why, sizeof why, "%s; %s", why_host(route, known),
		why_alpn(host, route, known->hello));
	out_text(out, "host", route->host);
	out_text(out, "match", match_of(route));
	print_id(out, "alpn", route->alpn);
	out_text(out, "why", why);
}

static void print_version(struct out *out, uint16_t min, const struct client_hello *hello)
{
	out_text(out, "min_version", min == 0x0304 ? "TLS1.3" : "TLS1.2");
	if (hello->version_max < min)
		out_text(out, "version_error", "the client speaks no version from there on");
}

static void print_termination(struct out *out, const struct decision *decision,
	const struct client_hello *hello, const struct explain_facts *facts)
{
	const struct route *route = decision->route;
	print_id(out, "negotiated_alpn", decision->alpn);
	print_version(out, route->tls->policy.min_version, hello);
	explain_certificates(out, route->tls);
	explain_client(out, route, facts);
}

static void print_route(struct out *out, const struct routes *routes,
	const struct decision *decision, const struct route_facts *known,
	const struct explain_facts *facts)
{
	const struct route *route = decision->route;
	out_object(out, "route");
	print_choice(out, routes, known, route);
	out_text(out, "mode", route_mode_name(route));
	if (route->tls)
		print_termination(out, decision, known->hello, facts);
	else if (facts->certificate)
		explain_unseen(out, facts->certificate);
	explain_backend(out, route->backend, facts);
	if (route->max_connections > 0)
		out_number(out, "max_connections", route->max_connections);
	out_close(out);
}

static const char *why_plaintext(enum plaintext what)
{
	switch (what) {
	case PLAINTEXT_SSH:
		return "not TLS: an ssh client";
	case PLAINTEXT_HTTP:
	case PLAINTEXT_HTTP2:
		return "not TLS: an HTTP request";
	case PLAINTEXT_MORE:
	case PLAINTEXT_OTHER:
		break;
	}
	return "not TLS";
}

static void print_plaintext(struct out *out, const struct decision *decision,
	const struct route_facts *known, const struct explain_facts *facts)
{
	const struct route *route = decision->route;
	out_object(out, "route");
	out_text(out, "host", route->host);
	out_text(out, "why", why_plaintext(known->plaintext));
	out_text(out, "mode", route_mode_name(route));
	if (route->backend)
		explain_backend(out, route->backend, facts);
	out_close(out);
	if (decision->outcome == OUTCOME_REDIRECT)
		print_answer(out, decision);
}

bool explain_set_starttls(struct explain_facts *facts, const char *name, struct err *err)
{
	char names[256];
	if (!name)
		return true;
	facts->is_preface_known = true;
	if (!name[0])
		return true;
	facts->preface = preface_find(name);
	if (facts->preface)
		return true;
	preface_names(names, sizeof names);
	err_set(err, "starttls: expected %s or \"\" for none, got \"%s\"", names, name);
	return false;
}

static bool has_preface(const struct listener_config *listener, const struct preface *preface)
{
	for (size_t i = 0; listener->prefaces && listener->prefaces[i]; i++)
		if (listener->prefaces[i] == preface)
			return true;
	return false;
}

bool explain_set_listen(struct explain_facts *facts, const struct routes *routes,
	const char *listen, struct err *err)
{
	struct route *forward;
	if (!listen)
		return true;
	facts->listener = routes_listener(routes, listen, &forward);
	if (!facts->listener || forward) {
		err_set(err,
			"listen: expected an address of \"listen\" as it stands there, got \"%s\"",
			listen);
		return false;
	}
	const struct preface *const *prefaces = facts->listener->prefaces;
	if (facts->preface && !has_preface(facts->listener, facts->preface)) {
		err_set(err, "starttls: the listener %s has no \"%s\"", listen,
			facts->preface->name);
		return false;
	}
	if (prefaces && prefaces[0]->speaks_first)
		facts->preface = prefaces[0];
	facts->is_preface_known |= !prefaces || prefaces[0]->speaks_first;
	return true;
}

void explain_route(struct out *out, const struct routes *routes, const struct explain_input *input,
	const struct explain_facts *facts)
{
	struct route_facts known = {.verdict = input->verdict,
		.hello = &input->hello,
		.is_drained = facts->is_drained,
		.preface = facts->preface,
		.is_preface_unknown = !facts->is_preface_known,
		.plaintext = input->plaintext,
		.listener = facts->listener};
	struct decision decision;
	route_decide(routes, &known, &decision);
	if (decision.outcome == OUTCOME_ROUTE && route_is_full(decision.route))
		decision_refuse_full(&decision);
	if (decision.route && decision.route->is_plaintext)
		print_plaintext(out, &decision, &known, facts);
	else if (decision.route)
		print_route(out, routes, &decision, &known, facts);
	else
		out_text(out, "route", NULL);
	if (decision.words)
		print_refusal(out, &decision, decision_name(&known));
	if (decision.reason == END_NO_PROTOCOL)
		print_protocols(out, routes, decision_name(&known));
	if (decision.closest)
		print_closest(out, &decision);
}
