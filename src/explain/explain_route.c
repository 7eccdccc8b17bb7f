#include "explain/explain.h"

#include "route/inspect.h"
#include "wire/alert.h"

/* Without a route. */

static void no_route(struct out *out, const char *why, const char *detail)
{
	char text[320];
	snprintf(text, sizeof text, "%s%s%s", why, detail ? " " : "", detail ? detail : "");
	out_text(out, "route", NULL);
	out_text(out, "why", text);
}

static void answer_alert(struct out *out, enum alert alert)
{
	char text[64];
	snprintf(text, sizeof text, "alert %s", alert_name(alert));
	out_text(out, "answer", text);
}

/* The words are those of the log (session/sniff, session/choose_route). */
static bool is_unusable(struct out *out, const struct asked *asked)
{
	const struct client_hello *hello = &asked->hello;
	switch (asked->verdict) {
	case HELLO_MORE:
		no_route(out, "the hello is not whole", NULL);
		out_text(out, "answer", "none: the rest is waited for until hello_timeout");
		return true;
	case HELLO_NOT_TLS:
		no_route(out, "not TLS", NULL);
		out_text(out, "answer", "none: the connection is closed");
		return true;
	case HELLO_BROKEN:
	case HELLO_TOO_LARGE:
		no_route(out, hello->error, NULL);
		answer_alert(out, ALERT_DECODE_ERROR);
		return true;
	case HELLO_WHOLE:
		break;
	}
	if (hello->sni_error) {
		no_route(out, "server name", hello->sni_error);
		answer_alert(out, ALERT_ILLEGAL_PARAMETER);
	} else if (hello->alpn_error) {
		no_route(out, "ALPN", hello->alpn_error);
		answer_alert(out, ALERT_DECODE_ERROR);
	}
	return hello->sni_error || hello->alpn_error;
}

static void explain_unknown(
	struct out *out, const struct routes *routes, const struct client_hello *hello)
{
	const struct route *closest = routes_answering(routes, hello);
	no_route(out, "no such host",
		hello->sni.len > 0 ? NULL : "(the client names none, and there is no \"*\")");
	if (!closest) {
		answer_alert(out, ALERT_UNRECOGNIZED_NAME);
		return;
	}
	out_text(out, "answer", "421 Misdirected Request, under the certificate of another host");
	out_text(out, "closest_host", closest->host);
	explain_certificates(out, closest->tls_no_client_auth);
}

static void tell_protocols(struct out *out, const struct host *host)
{
	char text[ALPN_TEXT_MAX];
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

static void explain_no_protocol(
	struct out *out, const struct routes *routes, const struct client_hello *hello)
{
	const struct host *host = routes_host_of(routes, &hello->sni);
	no_route(out, "no common application protocol", NULL);
	answer_alert(out, ALERT_NO_APPLICATION_PROTOCOL);
	out_text(out, "host", host->name);
	tell_protocols(out, host);
}

/* With one. */

static const char *match_of(const struct route *route)
{
	if (strcmp(route->host, "*") == 0)
		return "catch-all";
	return route->host[0] == '*' ? "wildcard" : "exact";
}

static const char *why_host(const struct route *route, const struct client_hello *hello)
{
	if (strcmp(route->host, "*") == 0)
		return hello->sni.len > 0 ? "no other host has this name"
					  : "the client names nobody";
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

static void tell_id(struct out *out, const char *key, struct span id)
{
	char text[ALPN_TEXT_MAX];
	alpn_text(id, text, sizeof text);
	out_text(out, key, id.len > 0 ? text : NULL);
}

static void tell_choice(struct out *out, const struct routes *routes,
	const struct client_hello *hello, const struct route *route)
{
	char why[256];
	const struct host *host = routes_host_of(routes, &hello->sni);
	snprintf(why, sizeof why, "%s; %s", why_host(route, hello), why_alpn(host, route, hello));
	out_text(out, "host", route->host);
	out_text(out, "match", match_of(route));
	tell_id(out, "alpn", route->alpn);
	out_text(out, "why", why);
}

static void tell_version(struct out *out, uint16_t min, const struct client_hello *hello)
{
	out_text(out, "min_version", min == 0x0304 ? "TLS1.3" : "TLS1.2");
	if (hello->version_max < min)
		out_text(out, "version_error", "the client speaks no version from there on");
}

static void tell_termination(struct out *out, const struct matched *matched,
	const struct client_hello *hello, const struct asker *asker)
{
	const struct route *route = matched->route;
	tell_id(out, "negotiated_alpn", matched->alpn);
	tell_version(out, route->tls->policy.min_version, hello);
	explain_certificates(out, route->tls);
	explain_client(out, route, asker);
}

void explain_route(struct out *out, const struct routes *routes, const struct asked *asked,
	const struct asker *asker)
{
	const struct client_hello *hello = &asked->hello;
	struct matched matched;
	if (is_unusable(out, asked))
		return;
	switch (routes_match(routes, hello, &matched)) {
	case MATCH_NO_NAME:
		explain_unknown(out, routes, hello);
		return;
	case MATCH_NO_PROTOCOL:
		explain_no_protocol(out, routes, hello);
		return;
	case MATCH_ROUTE:
		break;
	}
	out_object(out, "route");
	tell_choice(out, routes, hello, matched.route);
	out_text(out, "mode", matched.route->tls ? "terminate" : "passthrough");
	if (matched.route->tls)
		tell_termination(out, &matched, hello, asker);
	else if (asker->certificate)
		explain_unseen(out, asker->certificate);
	explain_backend(out, matched.route->backend, asker);
	if (matched.route->max_connections > 0)
		out_number(out, "max_connections", matched.route->max_connections);
	out_close(out);
}
