#include "dial/dial.h"

#include "net/socket.h"
#include "net/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAGGER_SECONDS 0.25
#define TRIED_MAX       256

/* Each is a descriptor: the oldest attempt, which had its time, gives way to the next address. */
#define IN_FLIGHT_MAX 3

struct dial {
	struct dial_setup setup;
	struct endpoint endpoint;
	struct lookup *lookup;
	ev_timer timer; /* before the first attempt, and until the next one */
	size_t count, next, failed, in_flight;
	struct address addresses[RESOLVER_MAX];
	ev_io attempts[RESOLVER_MAX]; /* one for each address that was tried; fd -1: it failed */
	int error;                    /* of the first that failed */
	char tried[TRIED_MAX];
};

/* The first attempt's descriptor is the connection's own; the others are taken from the spare ones. */
static void dial_count_attempts(struct dial *dial, size_t in_flight)
{
	size_t before = dial->in_flight > 1 ? dial->in_flight - 1 : 0;
	size_t after = in_flight > 1 ? in_flight - 1 : 0;
	dial->in_flight = in_flight;
	if (dial->setup.spare_sockets)
		*dial->setup.spare_sockets += (unsigned)before - (unsigned)after;
}

/* Its descriptor, which is the caller's. */
static int attempt_release(struct dial *dial, ev_io *attempt)
{
	int fd = attempt->fd;
	ev_io_stop(dial->setup.loop, attempt);
	ev_io_set(attempt, -1, 0);
	dial_count_attempts(dial, dial->in_flight - 1);
	return fd;
}

static void attempt_close(struct dial *dial, ev_io *attempt)
{
	if (attempt->fd >= 0)
		close(attempt_release(dial, attempt));
}

static void dial_make_way(struct dial *dial)
{
	const unsigned *spare = dial->setup.spare_sockets;
	size_t oldest = 0;
	if (dial->in_flight == 0 || (dial->in_flight < IN_FLIGHT_MAX && (!spare || *spare > 0)))
		return;
	while (dial->attempts[oldest].fd < 0)
		oldest++;
	attempt_close(dial, &dial->attempts[oldest]);
	dial->failed++;
}

static void dial_free(struct dial *dial)
{
	ev_timer_stop(dial->setup.loop, &dial->timer);
	lookup_cancel(dial->lookup);
	for (size_t i = 0; i < dial->next; i++)
		attempt_close(dial, &dial->attempts[i]);
	free(dial);
}

static void dial_finish(struct dial *dial, struct dial_result *result)
{
	dial_done_fn *on_done = dial->setup.on_done;
	void *owner = dial->setup.owner;
	char why[sizeof((struct err *)0)->text];
	snprintf(why, sizeof why, "%s", result->why ? result->why : "");
	result->why = why;
	dial_free(dial);
	on_done(owner, result);
}

static void dial_succeed(struct dial *dial, ev_io *attempt)
{
	size_t index = (size_t)(attempt - dial->attempts);
	struct dial_result result = {.address = dial->addresses[index]};
	result.fd = attempt_release(dial, attempt);
	dial_finish(dial, &result);
}

/* If there was more than one address the error lists them. */
static void dial_fail(struct dial *dial)
{
	char why[sizeof((struct err *)0)->text];
	const char *words = stream_error_text(dial->error);
	struct dial_result result = {.fd = -1, .error = dial->error, .why = words};
	if (dial->count > 1) {
		snprintf(why, sizeof why, "%s (tried %s)", words, dial->tried);
		result.why = why;
	}
	dial_finish(dial, &result);
}

static void dial_fail_unresolved(struct dial *dial, const char *why)
{
	struct dial_result result = {.fd = -1, .unresolved = true, .why = why};
	dial_finish(dial, &result);
}

static void dial_next_attempt(struct dial *dial);

static void dial_attempt_failed(struct dial *dial, int error)
{
	dial->failed++;
	if (!dial->error)
		dial->error = error;
	if (dial->next < dial->count)
		dial_next_attempt(dial);
	else if (dial->failed == dial->count)
		dial_fail(dial);
}

static void on_connected(struct ev_loop *loop, ev_io *attempt, int events)
{
	struct dial *dial = attempt->data;
	int error = events & EV_ERROR ? ENOMEM : socket_error(attempt->fd);
	(void)loop;
	if (!error) {
		dial_succeed(dial, attempt);
		return;
	}
	attempt_close(dial, attempt);
	dial_attempt_failed(dial, error);
}

static void dial_note_tried(struct dial *dial, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];
	size_t used = strlen(dial->tried);
	address_text(&address->any, address->len, text);
	if (used + strlen(text) + sizeof ", " < sizeof dial->tried)
		snprintf(dial->tried + used, sizeof dial->tried - used, "%s%s", used ? ", " : "",
			text);
}

static void dial_next_attempt(struct dial *dial)
{
	const struct address *address = &dial->addresses[dial->next];
	ev_io *attempt = &dial->attempts[dial->next++];
	ev_timer_stop(dial->setup.loop, &dial->timer);
	dial_make_way(dial);
	dial_note_tried(dial, address);
	ev_io_init(attempt, on_connected, socket_connect(address), EV_WRITE);
	attempt->data = dial;
	if (attempt->fd < 0) {
		dial_attempt_failed(dial, errno);
		return;
	}
	dial_count_attempts(dial, dial->in_flight + 1);
	ev_io_start(dial->setup.loop, attempt);
	if (dial->next < dial->count) {
		ev_timer_set(&dial->timer, STAGGER_SECONDS, 0.);
		ev_timer_start(dial->setup.loop, &dial->timer);
	}
}

static void dial_add_address(struct dial *dial, const struct address *address)
{
	sa_family_t family = address->any.sa_family;
	bool is_wanted = dial->setup.family == AF_UNSPEC || family == AF_UNIX ||
		family == dial->setup.family;
	if (is_wanted)
		dial->addresses[dial->count++] = *address;
}

static void dial_connect(struct dial *dial)
{
	if (dial->count > 0)
		dial_next_attempt(dial);
	else if (dial->setup.family == AF_INET6)
		dial_fail_unresolved(dial, "it has no IPv6 address");
	else
		dial_fail_unresolved(dial, "it has no IPv4 address");
}

static void on_resolved(
	void *owner, const struct address *addresses, size_t count, const char *error)
{
	struct dial *dial = owner;
	dial->lookup = NULL;
	for (size_t i = 0; i < count; i++)
		dial_add_address(dial, &addresses[i]);
	if (count == 0)
		dial_fail_unresolved(dial, error);
	else
		dial_connect(dial);
}

static void dial_begin(struct dial *dial)
{
	struct address address;
	if (address_of_endpoint(&dial->endpoint, &address)) {
		dial_add_address(dial, &address);
		dial_connect(dial);
		return;
	}
	const char *zone = endpoint_zone(&dial->endpoint);
	if (zone) {
		char why[64];
		snprintf(why, sizeof why, "this machine has no interface \"%s\"", zone);
		dial_fail_unresolved(dial, why);
		return;
	}
	/* An immediate answer may have ended the dial: then there is no place for the NULL. */
	struct lookup *lookup = resolver_lookup(
		dial->setup.resolver, dial->endpoint.host, dial->endpoint.port, on_resolved, dial);
	if (lookup)
		dial->lookup = lookup;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct dial *dial = timer->data;
	(void)loop, (void)events;
	if (dial->count > 0)
		dial_next_attempt(dial);
	else
		dial_begin(dial);
}

struct dial *dial_start(const struct dial_setup *setup, struct err *err)
{
	struct dial *dial = calloc(1, sizeof *dial);
	if (!dial) {
		err_set(err, "out of memory");
		return NULL;
	}
	dial->setup = *setup;
	dial->endpoint = *setup->endpoint;
	dial->setup.endpoint = &dial->endpoint;
	/* From the loop, so that the caller has its handle before the dial can end. */
	ev_timer_init(&dial->timer, on_timer, 0., 0.);
	dial->timer.data = dial;
	ev_timer_start(setup->loop, &dial->timer);
	return dial;
}

void dial_cancel(struct dial *dial)
{
	if (dial)
		dial_free(dial);
}

const char *dial_tried(const struct dial *dial)
{
	return dial->tried;
}
