#include "client/gateway_link.h"

#include "client/diagnose.h"
#include "dial/dial.h"
#include "net/relay.h"
#include "tls/tls_fault.h"
#include "tls/tls_stream.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define KEEPALIVE_PROBES 3

struct link {
	struct link_setup setup;
	ev_timer deadline;     /* of everything before the relay */
	struct dial *dial;     /* NULL once it is done */
	struct socket socket;  /* the gateway's */
	struct stream *stream; /* NULL before there is a connection */
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
	fprintf(stderr, "%s: %s\n", settings->program, text);
}

/* No callback fires between its end and link_destroy, whenever the owner calls that. */
static void link_stop(struct link *link)
{
	ev_timer_stop(link->setup.ctx->loop, &link->deadline);
	dial_cancel(link->dial);
	link->dial = NULL;
	if (link->relaying)
		relay_finish(&link->relay);
	link->relaying = false;
	socket_wait(&link->socket, 0);
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

static void log_handshake(const struct link *link)
{
	struct tls_facts facts;
	tls_stream_facts(link->stream, &facts);
	log_verbose(link, "%s, %s, protocol %.*s%s", facts.version, facts.cipher,
		facts.alpn.len ? (int)facts.alpn.len : 4,
		facts.alpn.len ? (const char *)facts.alpn.data : "none",
		facts.resumed ? ", resumed" : "");
}

static void client_handshake(struct link *link)
{
	struct err err;
	switch (stream_handshake(link->stream)) {
	case IO_AGAIN:
		socket_wait(&link->socket, stream_events(link->stream, EV_READ));
		return;
	case IO_EOF:
	case IO_FAIL:
		diagnose_tls(link->setup.gateway, link->stream, false, &err);
		link_end(link, err.text);
		return;
	case IO_DONE:
		break;
	}
	ev_timer_stop(link->setup.ctx->loop, &link->deadline);
	log_handshake(link);
	link->relaying = true;
	relay_start(&link->relay, link->setup.ctx, link->setup.client, link->stream, on_relay_ended,
		link);
}

static void on_ready(void *owner, struct socket *socket, int events)
{
	(void)socket, (void)events;
	client_handshake(owner);
}

static void set_tcp_option(int fd, int option, uint64_t value)
{
	int number = value < 1 ? 1 : value > 32000 ? 32000 : (int)value;
	setsockopt(fd, IPPROTO_TCP, option, &number, sizeof number);
}

/* Probes detect a lost peer on a silent connection, the user timeout while data is sent. */
static void set_keepalive(int fd, uint64_t ms)
{
	int longest = (int)(2 * ms);
	if (ms == 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
	set_tcp_option(fd, TCP_KEEPIDLE, ms / 1000);
	set_tcp_option(fd, TCP_KEEPINTVL, ms / 1000 / KEEPALIVE_PROBES);
	set_tcp_option(fd, TCP_KEEPCNT, KEEPALIVE_PROBES);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &longest, sizeof longest);
}

static void on_dialled(void *owner, const struct dial_result *result)
{
	struct link *link = owner;
	const struct gateway *gateway = link->setup.gateway;
	char text[ADDRESS_TEXT_MAX];
	struct err err;
	link->dial = NULL;
	if (result->fd < 0) {
		diagnose_dial(gateway, result, &err);
		link_end(link, err.text);
		return;
	}
	address_text(&result->address.any, result->address.len, text);
	log_verbose(link, "connected to %s", text);
	socket_init(&link->socket, link->setup.ctx->loop, result->fd, on_ready, link);
	set_keepalive(result->fd, gateway->settings->config.keepalive_ms);
	link->stream = tls_connect_stream(link->setup.ctx, &link->socket, gateway->peer,
		span_of(gateway->alpn, gateway->alpn_len), &err);
	if (link->stream)
		client_handshake(link);
	else
		link_end(link, err.text);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct link *link = timer->data;
	struct err err;
	(void)loop, (void)events;
	diagnose_timeout(link->setup.gateway, link->dial ? dial_tried(link->dial) : NULL, &err);
	link_end(link, err.text);
}

static void start_deadline(struct link *link)
{
	uint64_t ms = link->setup.gateway->settings->config.connect_timeout_ms;
	ev_timer_init(&link->deadline, on_deadline, (double)ms / 1000, 0.);
	link->deadline.data = link;
	if (ms > 0)
		ev_timer_start(link->setup.ctx->loop, &link->deadline);
}

struct link *link_start(const struct link_setup *setup, struct err *err)
{
	const struct client_settings *settings = setup->gateway->settings;
	struct link *link = calloc(1, sizeof *link);
	if (!link) {
		err_set(err, "out of memory");
		return NULL;
	}
	link->setup = *setup;
	socket_init(&link->socket, setup->ctx->loop, -1, on_ready, link);
	start_deadline(link);
	struct dial_setup dial = {.loop = setup->ctx->loop,
		.resolver = setup->resolver,
		.endpoint = &settings->endpoint,
		.family = settings->config.family,
		.on_done = on_dialled,
		.owner = link};
	link->dial = dial_start(&dial, err);
	if (link->dial)
		return link;
	link_destroy(link);
	return NULL;
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
		ioctl(socket_fd(&link->socket), SIOCOUTQ, &unacknowledged) == 0 &&
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
	socket_close(&link->socket);
	free(link);
}
