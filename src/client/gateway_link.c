#include "client/gateway_link.h"

#include "base/printable.h"
#include "client/diagnose.h"
#include "net/relay.h"
#include "tls/tls_fault.h"
#include "upstream/connector.h"

#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

struct link {
	struct link_setup setup;
	ev_timer
		start; /* connects from the loop, so that no callback fires before link_start returns */
	struct connector connector;
	struct plain_stream plain; /* memory of the transport */
	struct stream *stream;     /* the gateway's; NULL before there is a connection */
	bool relaying;
	struct relay relay;
};

__attribute__((format(printf, 2, 3))) static void log_verbose(
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
	print_diagnostic(settings->program, text);
}

/* No callback fires between its end and link_destroy, whenever the owner calls that. */
static void link_stop(struct link *link)
{
	ev_timer_stop(link->setup.ctx->loop, &link->start);
	connector_cancel(&link->connector);
	if (link->relaying)
		relay_finish(&link->relay);
	link->relaying = false;
}

static void link_end(struct link *link, const char *why)
{
	link_stop(link);
	link->setup.on_ended(link->setup.owner, why);
}

static void on_relay_ended(void *owner, struct stream *broken)
{
	struct link *link = owner;
	struct err err;
	log_verbose(link, "%llu bytes sent, %llu received",
		(unsigned long long)link->relay.up.bytes,
		(unsigned long long)link->relay.down.bytes);
	if (broken == link->stream)
		diagnose_tls(link->setup.gateway, broken, link->relay.down.bytes > 0, &err);
	else if (broken)
		err_set(&err, "%s", broken->error);
	link_end(link, broken ? err.text : NULL);
}

static void log_address(const struct link *link)
{
	const struct address *address = &link->connector.address;
	char text[ADDRESS_TEXT_MAX];
	if (!connector_is_connected(&link->connector))
		return;
	address_text(&address->any, address->len, text);
	log_verbose(link, "connected to %s", text);
}

static void log_handshake(const struct link *link)
{
	struct stream_facts facts;
	stream_facts(link->stream, &facts);
	log_verbose(link, "%s, %s, protocol %.*s%s", facts.tls_version, facts.cipher,
		facts.alpn.len ? (int)facts.alpn.len : 4,
		facts.alpn.len ? (const char *)facts.alpn.data : "none",
		facts.resumed ? ", resumed" : "");
}

static void connect_failed(struct link *link)
{
	const struct gateway *gateway = link->setup.gateway;
	const struct connector *connector = &link->connector;
	struct err err;
	if (connector->is_timeout)
		diagnose_timeout(gateway, connector, &err);
	else if (connector->failure == CONNECT_DIAL)
		diagnose_dial(gateway, connector, &err);
	else if (connector->phase == PHASE_TLS)
		diagnose_tls(gateway, connector->stream, false, &err);
	else
		err_set(&err, "%s: %s", gateway->settings->target, connector->why);
	link_end(link, err.text);
}

static void on_connect_done(void *owner)
{
	struct link *link = owner;
	log_address(link);
	if (link->connector.state == CONNECT_FAILED) {
		connect_failed(link);
		return;
	}
	link->stream = connector_take(&link->connector);
	log_handshake(link);
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

void link_flush_input(struct link *link)
{
	struct pump *up = &link->relay.up;
	if (!link->relaying || (up->state != PUMP_NEEDS_INPUT && up->state != PUMP_NEEDS_OUTPUT))
		return;
	pump_run(up, link->setup.ctx);
	if (up->state == PUMP_NEEDS_INPUT)
		stream_end(link->stream, HALF_CLOSE);
}

bool link_has_delivered(const struct link *link)
{
	enum pump_state state = link->relay.up.state;
	int unacknowledged;
	return (state == PUMP_NEEDS_INPUT || state == PUMP_ENDED) &&
		ioctl(stream_raw_in(&link->plain.stream), SIOCOUTQ, &unacknowledged) == 0 &&
		unacknowledged == 0;
}

bool link_is_refused(const struct link *link)
{
	struct tls_failure failure = {0};
	if (link->stream)
		tls_stream_failure(link->stream, &failure);
	return failure.fault == TLS_FAULT_ALERT;
}

void link_destroy(struct link *link)
{
	if (!link)
		return;
	link_stop(link);
	stream_destroy(link->stream);
	free(link);
}
