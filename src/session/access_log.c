#include "session/access_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "route/acl/acl.h"
#include "route/decision.h"
#include "tls/cert/identity.h"

#include <string.h>

static void log_source(struct log_line *line, const struct session *session)
{
	char text[ADDRESS_TEXT_MAX];
	session_source_text(session, text);
	log_text(line, "client", text);
	log_text(line, "listener", session->listener->text);
	bool has_preface = session->preface && !session->is_direct_tls;
	log_text(line, "preface", has_preface ? session->preface->name : NULL);
}

static void log_alpn(struct log_line *line, struct span alpn)
{
	char text[ALPN_TEXT_MAX];
	alpn_text(alpn, text, sizeof text);
	log_text(line, "alpn", alpn.len > 0 ? text : NULL);
}

static void log_hello(struct log_line *line, const struct hello_facts *hello)
{
	if (!hello)
		return;
	log_text(line, "sni", hello->sni[0] ? hello->sni : NULL);
	log_alpn(line, hello->alpn);
	if (hello->alpn.len == 0)
		log_text(line, "alpn_offered", hello->alpn_offered[0] ? hello->alpn_offered : NULL);
}

static void log_route(struct log_line *line, const struct route *route)
{
	if (!route)
		return;
	log_text(line, "route", route->host);
	log_text(line, "mode", route_mode_name(route));
}

/* Of a client that they refuse. */
static void log_rules(
	struct log_line *line, const struct route *route, const struct identity *identity)
{
	struct client_facts facts = {.identity = identity};
	struct admission admission;
	char text[ACL_TEXT_MAX];
	if (!route || !route->acl)
		return;
	route_admit(route, &facts, &admission);
	if (admission.is_admitted)
		return;
	acl_text(route->acl, text);
	log_text(line, "acl", text);
}

/* TLS with the client; of a forward, with its server. */
static void log_tls(struct log_line *line, const struct session *session)
{
	bool is_forward = session->route && session->route->is_forward;
	const struct stream *stream = is_forward ? session->upstream : session->client;
	struct stream_facts facts = {0};
	char text[IDENTITY_TEXT_MAX];
	if (stream)
		stream_facts(stream, &facts);
	if (!session->hello)
		log_alpn(line, facts.alpn);
	log_text(line, "tls", facts.tls_version);
	log_text(line, "cipher", facts.cipher);
	if (facts.tls_version)
		log_flag(line, "resumed", facts.resumed);
	if (!facts.identity)
		return;
	identity_text(facts.identity, text);
	log_text(line, "identity", text);
	if (!facts.tls_version)
		log_rules(line, session->route, facts.identity);
}

static void log_times(struct log_line *line, const struct session *session)
{
	if (session->handshake_us > 0)
		log_duration(line, "handshake_ms", session->handshake_us);
	if (session->dial_us > 0)
		log_duration(line, "dial_ms", session->dial_us);
	log_duration(line, "total_ms", clock_now_us() - session->began_us);
}

/*
 * What the administrator of a backend must see to is a warning; what a client does wrong is not. A
 * TLS 1.3 server refuses our certificate after the handshake: that it sent nothing else shows it.
 */
static enum log_level level_of(const struct session *session, enum end_reason reason)
{
	bool is_upstreams = end_reason_info(reason)->cause == CAUSE_UPSTREAM;
	return is_upstreams && session_down(session) == 0 ? LOG_WARNING_LEVEL : LOG_INFO_LEVEL;
}

static enum refusal_class class_of(enum end_reason reason, const struct identity *identity)
{
	if (end_reason_info(reason)->cause != CAUSE_CLIENT)
		return REFUSAL_OURS;
	if (!identity)
		return REFUSAL_ANONYMOUS;
	return reason == END_HANDSHAKE ? REFUSAL_CERTIFICATE : REFUSAL_IDENTIFIED;
}

static bool is_suppressed(const struct session *session, enum end_reason reason, const char *words)
{
	if (!end_reason_info(reason)->is_ratelimited)
		return false;
	const struct identity *identity = session->client ? session_client_identity(session) : NULL;
	char text[IDENTITY_TEXT_MAX] = "";
	struct log_refusal refusal = {.class = class_of(reason, identity),
		.words = words,
		.name = session->hello ? session->hello->sni : "",
		.identity = text};
	if (identity && refusal.class != REFUSAL_OURS)
		identity_text(identity, text);
	return !log_ratelimit_admits(&session->service->log_ratelimit, &refusal);
}

void access_log(const struct session *session, enum end_reason reason, const char *words)
{
	enum log_level level = level_of(session, reason);
	struct log_line line;
	if (!log_enabled(level) || is_suppressed(session, reason, words))
		return;
	log_begin(&line, level, "connection");
	log_source(&line, session);
	log_hello(&line, session->hello);
	log_route(&line, session->route);
	log_tls(&line, session);
	log_text(&line, "upstream", session_upstream_text(session));
	log_number(&line, "up", (long long)session_up(session));
	log_number(&line, "down", (long long)session_down(session));
	log_times(&line, session);
	log_text(&line, "reason", end_reason_info(reason)->name);
	log_text(&line, "step", session->step->name);
	log_text(&line, "end", words);
	log_end(&line);
}
