#include "client/gateway_link.h"

#include "client/diagnose.h"
#include "net/relay.h"
#include "upstream/connector.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct link {
	struct link_setup setup;
	struct connector connector;
	struct plain_stream plain; /* memory of the gateway's transport */
	struct stream *stream;     /* the gateway's; NULL before there is a connection */
	ev_timer start; /* from the loop, so that no answer comes before link_start returns */
	bool relaying;
	struct relay relay;
};

__attribute__((format(printf, 2, 3))) static void tell(
	const struct link *link, const char *format, ...)
{
	const struct client_settings *settings = link->setup.gateway->settings;
	char text[1024];
	va_list args;
	if (!settings->verbose)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fprintf(stderr, "%s: %s\n", settings->who, text);
}

/* Nothing happens any more while the owner makes up its mind when to destroy it. */
static void quiet(struct link *link)
{
	ev_timer_stop(link->setup.ctx->loop, &link->start);
	connector_cancel(&link->connector);
	if (link->relaying)
		relay_finish(&link->relay);
	link->relaying = false;
}

static void end(struct link *link, const char *why)
{
	quiet(link);
	link->setup.on_ended(link->setup.owner, why);
}

static void on_relay_ended(void *owner, struct stream *broken)
{
	struct link *link = owner;
	struct err err;
	tell(link, "%llu bytes sent, %llu received", (unsigned long long)link->relay.up.bytes,
		(unsigned long long)link->relay.down.bytes);
	if (broken == link->stream)
		diagnose_tls(link->setup.gateway, broken, link->relay.down.bytes > 0, &err);
	else if (broken)
		err_set(&err, "%s", broken->error);
	end(link, broken ? err.text : NULL);
}

static void tell_address(const struct link *link)
{
	const struct address *address = &link->connector.address;
	char text[ADDRESS_TEXT_MAX];
	if (connector_is_connected(&link->connector))
		address_text(&address->any, address->len, text);
	else
		return;
	tell(link, "connected to %s", text);
}

static void tell_secured(const struct link *link)
{
	struct stream_facts facts;
	stream_facts(link->stream, &facts);
	tell(link, "%s, %s, protocol %.*s%s", facts.tls_version, facts.cipher,
		facts.alpn.len ? (int)facts.alpn.len : 4,
		facts.alpn.len ? (const char *)facts.alpn.data : "none",
		facts.resumed ? ", resumed" : "");
}

static void connect_failed(struct link *link)
{
	const struct connector *connector = &link->connector;
	struct err err;
	if (connector->is_timeout)
		diagnose_timeout(link->setup.gateway, connector, &err);
	else if (connector->failure == CONNECT_DIAL)
		diagnose_dial(link->setup.gateway, connector, &err);
	else if (connector->phase == PHASE_TLS)
		diagnose_tls(link->setup.gateway, connector->stream, false, &err);
	else
		err_set(&err, "%s", connector->why);
	end(link, err.text);
}

static void on_connect_done(void *owner)
{
	struct link *link = owner;
	tell_address(link);
	if (link->connector.state == CONNECT_FAILED) {
		connect_failed(link);
		return;
	}
	link->stream = connector_take(&link->connector);
	tell_secured(link);
	link->relaying = true;
	relay_start(&link->relay, link->setup.ctx, link->setup.client, link->stream, on_relay_ended,
		link);
}

static void on_start(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct link *link = timer->data;
	const struct gateway *gateway = link->setup.gateway;
	const struct client_settings *settings = gateway->settings;
	struct connector_setup setup = {.ctx = link->setup.ctx,
		.resolver = link->setup.resolver,
		.endpoint = &settings->endpoint,
		.family = settings->config.family,
		.plain = &link->plain,
		.tls = gateway->peer,
		.alpn = span_of(gateway->alpn, gateway->alpn_len),
		.keepalive_ms = settings->config.keepalive_ms,
		.dial_ms = settings->config.connect_timeout_ms,
		.secure_ms = CONNECT_SAME_LIMIT,
		.on_done = on_connect_done,
		.owner = link};
	(void)loop, (void)events;
	if (connector_start(&link->connector, &setup) != CONNECT_WAIT)
		on_connect_done(link);
}

struct link *link_start(const struct link_setup *setup, struct err *err)
{
	struct link *link = calloc(1, sizeof *link);
	if (!link) {
		err_set(err, "out of memory");
		return NULL;
	}
	link->setup = *setup;
	connector_init(&link->connector);
	ev_timer_init(&link->start, on_start, 0., 0.);
	link->start.data = link;
	ev_timer_start(setup->ctx->loop, &link->start);
	return link;
}

void link_say_rest(struct link *link)
{
	if (!link->relaying)
		return;
	pump_run(&link->relay.up, link->setup.ctx);
	if (link->relay.up.state == PUMP_NEEDS_INPUT)
		stream_end(link->stream, HALF_CLOSE);
}

void link_destroy(struct link *link)
{
	if (!link)
		return;
	quiet(link);
	stream_destroy(link->stream);
	free(link);
}
