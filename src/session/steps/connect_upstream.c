#include "base/clock.h"
#include "base/log.h"
#include "net/source_hash.h"
#include "session/join.h"
#include "session/session_stats.h"
#include "session/steps/steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS_TRIED_MAX 3

static struct server *server_of(const struct session *session)
{
	return &session->route->backend->servers[session->server];
}

static struct connector *connector_of(const struct session *session)
{
	return &session->forwarding->connector;
}

/* What was agreed on with the client is offered to the server; a forward has a list of its own. */

/* A protocol that needs its id where TLS begins at once (RFC 7301) may have been requested without it. */
static struct span session_alpn(const struct session *session)
{
	const struct preface *preface = session->preface;
	struct span agreed = session->hello->alpn;
	if (!preface || agreed.len > 0 || !preface->alpn || session->route->backend->starttls)
		return agreed;
	return span_of_string(preface->alpn);
}

static size_t alpn_size(const struct session *session)
{
	const struct strings *own = &session->route->offer_alpn;
	size_t size = 0;
	if (session->hello)
		return 1 + session_alpn(session).len;
	for (size_t i = 0; i < own->count; i++)
		size += 1 + strlen(own->items[i]);
	return size;
}

static void add_alpn(struct forwarding *forwarding, struct span id)
{
	if (id.len == 0)
		return;
	forwarding->alpn[forwarding->alpn_len++] = (uint8_t)id.len;
	memcpy(forwarding->alpn + forwarding->alpn_len, id.data, id.len);
	forwarding->alpn_len += id.len;
}

static void set_alpn(struct session *session)
{
	const struct strings *own = &session->route->offer_alpn;
	struct forwarding *forwarding = session->forwarding;
	forwarding->alpn_len = 0;
	if (session->hello)
		add_alpn(forwarding, session_alpn(session));
	for (size_t i = 0; !session->hello && i < own->count; i++)
		add_alpn(forwarding, span_of_string(own->items[i]));
}

static const struct cancel_target *target_of(const struct session *session)
{
	return session->join ? session->join->target : NULL;
}

static bool begin_connect(struct session *session)
{
	struct forwarding *forwarding = malloc(sizeof *forwarding + alpn_size(session));
	if (!forwarding)
		return false;
	session->forwarding = forwarding;
	connector_init(&forwarding->connector);
	forwarding->counted_up = forwarding->counted_down = 0;
	forwarding->joined_up = forwarding->joined_down = 0;
	set_alpn(session);
	session->at.connect.started_us = clock_now_us();
	session->at.connect.tried = 0;
	session->at.connect.failure = NULL;
	session_set_deadline(session, 0, END_DIAL, NULL);
	return true;
}

/* Failures. */

static enum end_reason reason_of(const struct connector *connector)
{
	switch (connector->failure) {
	case CONNECT_DIAL:
	case CONNECT_HEADER:
		return END_DIAL;
	case CONNECT_PREFACE:
		return END_UPSTREAM_PREFACE;
	case CONNECT_HANDSHAKE:
		break;
	}
	return END_UPSTREAM_HANDSHAKE;
}

/* The last failure is what the connection's line says. */
static void note_failure(struct session *session, enum end_reason reason, const char *why)
{
	char words[512];
	snprintf(words, sizeof words, "upstream %s: %s", session_upstream_text(session), why);
	free(session->at.connect.failure);
	session->at.connect.failure = strdup(words);
	session->at.connect.reason = reason;
	count_dial_error(session);
}

static void log_turn(const struct session *session, enum log_level level, const char *message)
{
	struct log_line line;
	log_begin(&line, level, message);
	log_text(&line, "server", server_of(session)->text);
	log_text(&line, "reason", session->at.connect.failure);
	log_end(&line);
}

static enum step_result give_up(struct session *session)
{
	const char *words = session->at.connect.failure;
	if (words)
		session_decide_end(session, session->at.connect.reason, words);
	if ((session->context || session->route->is_forward) &&
		session_say_refusal(session, REFUSAL_NO_SERVER, "no server is available"))
		return session_refuse(session, END_DIAL, "no server left");
	return session_end(session, END_DIAL, "no server left");
}

static void leave_server(struct session *session)
{
	struct server *server = server_of(session);
	if (server_failed(server))
		log_turn(session, LOG_WARNING_LEVEL, "server marked down");
	server_left(server);
	session->server = -1;
}

/* The one that was connected to by name is known by its address. */
static void note_address(struct session *session)
{
	const struct connector *connector = connector_of(session);
	char text[ADDRESS_TEXT_MAX];
	if (!connector->is_by_name || connector->address.len == 0)
		return;
	address_text(&connector->address.any, connector->address.len, text);
	session->upstream_text = strdup(text);
}

static void connect_failed(struct session *session)
{
	struct connector *connector = connector_of(session);
	note_address(session);
	note_failure(session, reason_of(connector), connector->why);
	leave_server(session);
	connector_cancel(connector);
}

/* Success. */

static enum step_result upstream_connected(struct session *session)
{
	struct connector *connector = connector_of(session);
	note_address(session);
	session->upstream = connector_take(connector);
	session->dial_us = connector->connected_us - session->at.connect.started_us;
	if (session->route->is_forward)
		session->handshake_us = clock_now_us() - connector->connected_us;
	free(session->at.connect.failure);
	session->at.connect.failure = NULL;
	if (server_answered(server_of(session)))
		log_turn(session, LOG_INFO_LEVEL, "server marked up");
	return STEP_NEXT;
}

/* From the loop. */
static void on_connect_done(void *owner)
{
	session_advance(owner);
}

/* A server that greets within TLS, or without, a client that was greeted in front. */
static const struct preface *greeter_of(const struct session *session)
{
	const struct preface *preface = session->preface;
	bool is_greeted = preface->speaks_first && !session->is_direct_tls && session->context;
	return is_greeted && !session->route->backend->starttls ? preface : NULL;
}

/* The name that the client sent. */
static const char *name_sent(const struct session *session)
{
	const struct hello_facts *hello = session->hello;
	return hello && hello->sni[0] ? hello->sni : NULL;
}

/* Where TLS is the client's, who cancels has none: the request goes in the clear, as it came. */
static void set_conversation(struct session *session, struct connector_setup *setup)
{
	if (target_of(session) && !setup->tls)
		setup->starttls = NULL;
	setup->greeting = session_needs_greeting(session) ? &session->join->greeting : NULL;
	setup->memory = session->join->memory.bytes;
}

static enum connect_state start_connect(struct session *session, const struct endpoint *endpoint)
{
	const struct config *config = routes_config(session->routes);
	const struct backend *backend = session->route->backend;
	struct forwarding *forwarding = session->forwarding;
	struct connector_setup setup = {.ctx = &session->service->ctx,
		.resolver = session->service->resolver,
		.endpoint = endpoint,
		.family = AF_UNSPEC,
		.plain = &forwarding->plain,
		.write_header =
			backend->proxy_protocol == PROXY_OUT_NONE ? NULL : write_proxy_header,
		.starttls = backend->starttls,
		.host = name_sent(session),
		.tls = server_of(session)->tls,
		.alpn = span_of(forwarding->alpn, forwarding->alpn_len),
		.dial_ms = config->proxy.dial_timeout_ms,
		.secure_ms = config->proxy.handshake_timeout_ms,
		.on_done = on_connect_done,
		.owner = session};
	if (session->preface)
		setup.greeter = greeter_of(session);
	if (session->join)
		set_conversation(session, &setup);
	return connector_start(&forwarding->connector, &setup);
}

/* The one that the key leads to; on "cancel": "forward" each of them. */
static int cancel_server(struct cancel_target *target, uint32_t tried)
{
	int count = (int)target->route->backend->count;
	while (target->is_every && target->server + 1 < count && (tried >> target->server & 1))
		target->server++;
	return tried >> target->server & 1 ? -1 : target->server;
}

static bool choose_server(struct session *session)
{
	uint32_t *tried = &session->at.connect.tried;
	session->server = -1;
	if (target_of(session))
		session->server = cancel_server(session->join->target, *tried);
	else if (__builtin_popcount(*tried) < SERVERS_TRIED_MAX)
		session->server = backend_choose(
			session->route->backend, *tried, source_hash(&session->source.any));
	if (session->server < 0)
		return false;
	*tried |= 1u << session->server;
	server_taken(server_of(session));
	free(session->upstream_text);
	session->upstream_text = NULL;
	return true;
}

/* Of a key that leads to a server known by name: the address that it had then. */
static const char *server_address(const struct session *session, char text[ADDRESS_TEXT_MAX])
{
	const struct cancel_target *target = target_of(session);
	if (!target || target->address.len == 0)
		return server_of(session)->text;
	address_text(&target->address.any, target->address.len, text);
	return text;
}

/* Of the next server; the address was validated when the configuration was loaded. */
static enum connect_state try_server(struct session *session)
{
	struct endpoint endpoint;
	struct err err;
	char text[ADDRESS_TEXT_MAX];
	if (endpoint_parse(server_address(session, text), &endpoint, &err))
		return start_connect(session, &endpoint);
	note_failure(session, END_DIAL, err.text);
	leave_server(session);
	return CONNECT_FAILED;
}

/*
 * Chooses a server and connects to it, with a PROXY header, STARTTLS and TLS as its backend says; where that
 * fails, to the next. The client has been admitted: before this step no server hears of it.
 */
enum step_result step_connect_upstream(struct session *session)
{
	enum connect_state state = CONNECT_FAILED;
	bool is_new = session_enters_step(session);
	if (is_new && !begin_connect(session))
		return session_end(session, END_NO_MEMORY, "out of memory");
	if (!is_new) {
		state = connector_of(session)->state;
		if (state == CONNECT_FAILED)
			connect_failed(session);
	}
	while (state == CONNECT_FAILED) {
		if (!choose_server(session))
			return give_up(session);
		state = try_server(session);
		if (state == CONNECT_FAILED && session->server >= 0)
			connect_failed(session);
	}
	return state == CONNECT_READY ? upstream_connected(session) : STEP_WAIT;
}

void cancel_connect_upstream(struct session *session)
{
	if (!session->forwarding) /* there was no memory to begin */
		return;
	connector_cancel(connector_of(session));
	free(session->at.connect.failure);
	session->at.connect.failure = NULL;
}
