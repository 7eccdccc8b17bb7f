#include "client/run_forward.h"

#include "base/clock.h"
#include "base/printable.h"
#include "client/gateway_link.h"
#include "net/plain_stream.h"
#include "net/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_SECONDS 1.

/* Refused connections of other users are logged no more often: they must not fill the terminal. */
#define REFUSAL_INTERVAL_US 1000000

struct forwarded {
	struct run_forward *forward;
	struct forwarded *next, **place;
	struct plain_stream plain;
	struct link *link;
};

static void forward_log_error(const struct run_forward *forward, const char *text)
{
	print_diagnostic(forward->gateway->settings->program, text);
}

static void forwarded_end(struct forwarded *connection, bool is_broken)
{
	struct run_forward *forward = connection->forward;
	*connection->place = connection->next;
	if (connection->next)
		connection->next->place = connection->place;
	link_destroy(connection->link);
	if (is_broken)
		stream_abort(&connection->plain.stream);
	stream_destroy(&connection->plain.stream);
	free(connection);
	if (forward->draining && !forward->connections)
		ev_break(forward->ctx.loop, EVBREAK_ALL);
}

/* Only failures of the gateway are reported: a client that breaks its connection knows why. */
static void on_link_ended(void *owner, const char *why)
{
	struct forwarded *connection = owner;
	if (why && !connection->plain.stream.error)
		forward_log_error(connection->forward, why);
	forwarded_end(connection, why != NULL);
}

static struct forwarded *forwarded_create(struct run_forward *forward, int fd)
{
	struct forwarded *connection = calloc(1, sizeof *connection);
	if (!connection)
		return NULL;
	connection->forward = forward;
	plain_stream_init(&connection->plain, forward->ctx.loop, fd);
	connection->place = &forward->connections;
	connection->next = forward->connections;
	if (connection->next)
		connection->next->place = &connection->next;
	forward->connections = connection;
	return connection;
}

static void forward_connection(struct run_forward *forward, int fd)
{
	struct err err = {.text = "out of memory"};
	struct forwarded *connection = forwarded_create(forward, fd);
	if (!connection) {
		socket_reset_on_close(fd);
		close(fd);
		forward_log_error(forward, err.text);
		return;
	}
	if (!gateway_refresh(forward->gateway, &err))
		forward_log_error(
			forward, err.text); /* the old certificate may still be accepted */
	struct link_setup setup = {.gateway = forward->gateway,
		.ctx = &forward->ctx,
		.resolver = forward->resolver,
		.client = &connection->plain.stream,
		.on_ended = on_link_ended,
		.owner = connection};
	connection->link = link_start(&setup, &err);
	if (connection->link)
		return;
	forward_log_error(forward, err.text);
	forwarded_end(connection, true);
}

static void on_drain_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void log_refusal(struct run_forward *forward, const char *text)
{
	uint64_t now = clock_now_us();
	if (now < forward->next_refusal_us)
		return;
	forward->next_refusal_us = now + REFUSAL_INTERVAL_US;
	forward_log_error(forward, text);
}

static void on_connection(void *owner)
{
	struct run_forward *forward = owner;
	struct err why;
	int fd = private_listener_accept(&forward->listener, &why);
	int error = errno;
	if (fd >= 0)
		forward_connection(forward, fd);
	else if (error == EPERM)
		log_refusal(forward, why.text);
	else if (accept_watch_failed(&forward->acceptor, error))
		forward_log_error(forward, strerror(error));
}

bool run_forward_open(struct run_forward *forward, struct ev_loop *loop, struct gateway *gateway,
	const struct address *address, struct err *err)
{
	*forward = (struct run_forward){.gateway = gateway, .listener.fd = -1};
	if (!loop_ctx_init(&forward->ctx, loop, err))
		return false;
	forward->resolver = resolver_create(loop, NULL, err);
	if (!forward->resolver || !private_listener_open(&forward->listener, address, err)) {
		resolver_destroy(forward->resolver);
		loop_ctx_finish(&forward->ctx);
		return false;
	}
	ev_timer_init(&forward->drain, on_drain_over, DRAIN_SECONDS, 0.);
	accept_watch_init(&forward->acceptor, loop, forward->listener.fd, on_connection, forward);
	accept_watch_start(&forward->acceptor);
	return true;
}

void run_forward_drain(struct run_forward *forward)
{
	struct ev_loop *loop = forward->ctx.loop;
	forward->draining = true;
	accept_watch_stop(&forward->acceptor);
	if (!forward->connections)
		return;
	ev_timer_start(loop, &forward->drain);
	ev_run(loop, 0);
}

void run_forward_close(struct run_forward *forward)
{
	accept_watch_stop(&forward->acceptor);
	ev_timer_stop(forward->ctx.loop, &forward->drain);
	forward->draining = false;
	while (forward->connections)
		forwarded_end(forward->connections, true);
	private_listener_close(&forward->listener);
	resolver_destroy(forward->resolver);
	loop_ctx_finish(&forward->ctx);
}
