#include "app/health_checks.h"

#include "base/log.h"
#include "net/lane.h"
#include "net/resolver.h"
#include "tls/tls_stream.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* One server's check. What is pending is what is not NULL, and the socket while it is open. */
struct check {
	struct health_checks *checks;
	struct check *next;
	struct server_state *state;
	struct health_settings settings;
	struct tls_peer *tls; /* a reference; NULL: connecting is enough */
	struct socket socket;
	struct stream *stream;
	struct lookup *lookup;
	struct address addresses[RESOLVER_MAX]; /* of this try, one after the other */
	size_t address_count, next_address;
	ev_timer timer; /* to the next try, or the end of this one's patience */
	unsigned streak; /* of answers that speak against the state */
	bool wanted;
};

struct health_checks {
	struct ev_loop *loop;
	struct lane lane;
	struct resolver *resolver;
	struct check *first;
	void *by_state; /* a tree (tsearch) of all */
};

static void begin_next_address(struct check *check);

static void set_timer(struct check *check, uint64_t ms)
{
	ev_timer_stop(check->checks->loop, &check->timer);
	ev_timer_set(&check->timer, (double)ms / 1000, 0.);
	ev_timer_start(check->checks->loop, &check->timer);
}

static void drop_try(struct check *check)
{
	if (check->lookup)
		lookup_cancel(check->lookup);
	check->lookup = NULL;
	stream_destroy(check->stream);
	check->stream = NULL;
	socket_close(&check->socket);
}

static void log_turn(const struct check *check, const char *message, const char *why)
{
	struct log_line line;
	log_begin(&line, why ? LOG_WARNING_LEVEL : LOG_INFO_LEVEL, message);
	log_text(&line, "server", check->state->text);
	log_text(&line, "reason", why);
	log_end(&line);
}

/* `why` is NULL after an answer. */
static void conclude(struct check *check, const char *why)
{
	bool is_down = atomic_load(&check->state->unhealthy);
	bool speaks_against = is_down == (why == NULL);
	check->streak = speaks_against ? check->streak + 1 : 0;
	if (check->streak >= (is_down ? check->settings.rise : check->settings.fall)) {
		check->streak = 0;
		atomic_store(&check->state->unhealthy, !is_down);
		if (is_down) /* what connections thought of it is of before */
			atomic_store(&check->state->down_until, 0);
		log_turn(check, is_down ? "server is up" : "server is down", why);
	}
	drop_try(check);
	set_timer(check, check->settings.interval_ms);
}

/* One address; all of a server's have to fail before it has. */
static void address_failed(struct check *check, const char *why)
{
	if (check->next_address == check->address_count) {
		conclude(check, why);
		return;
	}
	drop_try(check);
	begin_next_address(check);
}

static void secure(struct check *check)
{
	struct err err;
	if (!check->stream)
		check->stream = tls_connect_stream(
			&check->checks->lane, &check->socket, check->tls, span_of(NULL, 0), &err);
	if (!check->stream) {
		conclude(check, err.text);
		return;
	}
	switch (stream_handshake(check->stream)) {
	case IO_AGAIN:
		socket_wait(&check->socket, stream_events(check->stream, EV_READ));
		return;
	case IO_EOF:
	case IO_FAIL:
		address_failed(check, check->stream->error);
		return;
	case IO_DONE:
		break;
	}
	conclude(check, NULL);
}

static void on_ready(void *owner, struct socket *socket, int events)
{
	struct check *check = owner;
	int error = check->stream ? 0 : socket_error(socket);
	(void)events;
	if (error)
		address_failed(check, stream_error_text(error));
	else if (check->tls)
		secure(check);
	else
		conclude(check, NULL);
}

static void begin_next_address(struct check *check)
{
	const struct address *address = &check->addresses[check->next_address++];
	set_timer(check, check->settings.timeout_ms / check->address_count);
	int error = socket_connect(&check->socket, address);
	if (error)
		address_failed(check, stream_error_text(error));
	else
		socket_wait(&check->socket, EV_WRITE);
}

static void on_resolved(
	void *owner, const struct address *addresses, size_t count, const char *error)
{
	struct check *check = owner;
	check->lookup = NULL;
	check->address_count = count;
	check->next_address = 0;
	if (count == 0) {
		conclude(check, error);
		return;
	}
	memcpy(check->addresses, addresses, count * sizeof *addresses);
	begin_next_address(check);
}

static void begin(struct check *check)
{
	struct endpoint endpoint;
	struct address address;
	struct err err;
	check->address_count = check->next_address = 0;
	set_timer(check, check->settings.timeout_ms);
	if (!endpoint_parse(check->state->text, &endpoint, &err))
		conclude(check, err.text);
	else if (address_of_endpoint(&endpoint, &address))
		on_resolved(check, &address, 1, NULL);
	else
		check->lookup = resolver_lookup(
			check->checks->resolver, endpoint.host, endpoint.port, on_resolved, check);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct check *check = timer->data;
	(void)loop, (void)events;
	if (check->lookup || socket_fd(&check->socket) >= 0)
		address_failed(check, "no answer in time");
	else
		begin(check);
}

static int compare(const void *a, const void *b)
{
	const struct check *one = a, *other = b;
	return one->state < other->state ? -1 : one->state > other->state;
}

static void check_free(struct check *check)
{
	tdelete(check, &check->checks->by_state, compare);
	ev_timer_stop(check->checks->loop, &check->timer);
	drop_try(check);
	tls_peer_unref(check->tls);
	free(check);
}

struct health_checks *health_checks_create(struct ev_loop *loop, struct err *err)
{
	struct health_checks *checks = calloc(1, sizeof *checks);
	if (!checks) {
		err_set(err, "out of memory");
		return NULL;
	}
	checks->loop = loop;
	if (lane_init(&checks->lane, loop, err) &&
		(checks->resolver = resolver_create(loop, NULL, err)) != NULL)
		return checks;
	health_checks_destroy(checks);
	return NULL;
}

static struct check *find(struct health_checks *checks, struct server_state *state)
{
	struct check wanted = {.state = state};
	struct check **found = tfind(&wanted, &checks->by_state, compare);
	return found ? *found : NULL;
}

static struct check *add(struct health_checks *checks, struct server_state *state)
{
	struct check *check = calloc(1, sizeof *check);
	if (!check)
		return NULL;
	check->checks = checks;
	check->state = state;
	if (!tsearch(check, &checks->by_state, compare)) {
		free(check);
		return NULL;
	}
	socket_init(&check->socket, checks->loop, -1, on_ready, check);
	ev_timer_init(&check->timer, on_timer, 0., 0.);
	check->timer.data = check;
	check->next = checks->first;
	checks->first = check;
	return check;
}

static bool is_equal(const struct health_settings *a, const struct health_settings *b)
{
	return a->kind == b->kind && a->interval_ms == b->interval_ms &&
		a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

/* A server that several backends have checked is checked as the first of them says. */
static void want(
	struct health_checks *checks, const struct backend *backend, const struct server *server)
{
	struct check *check = find(checks, server->state);
	bool is_new = !check;
	if (check && check->wanted)
		return;
	if (is_new && !(check = add(checks, server->state)))
		return;
	check->wanted = true;
	if (!is_new && check->tls == server->tls_check &&
		is_equal(&check->settings, &backend->health))
		return; /* a reload does not put its next try off */
	drop_try(check);
	tls_peer_unref(check->tls);
	check->settings = backend->health;
	check->tls = server->tls_check ? tls_peer_ref(server->tls_check) : NULL;
	set_timer(check, is_new ? 0 : check->settings.interval_ms);
}

static void drop_unwanted(struct health_checks *checks)
{
	for (struct check **at = &checks->first; *at;) {
		struct check *check = *at;
		if (check->wanted) {
			at = &check->next;
			continue;
		}
		*at = check->next;
		atomic_store(&check->state->unhealthy, false);
		check_free(check);
	}
}

void health_checks_follow(struct health_checks *checks, const struct routes *routes)
{
	for (struct check *check = checks->first; check; check = check->next)
		check->wanted = false;
	for (size_t i = 0; i < routes_backend_count(routes); i++) {
		const struct backend *backend = routes_backend(routes, i);
		for (unsigned at = 0; backend->health.kind != HEALTH_NONE && at < backend->count; at++)
			want(checks, backend, &backend->servers[at]);
	}
	drop_unwanted(checks);
}

void health_checks_destroy(struct health_checks *checks)
{
	if (!checks)
		return;
	while (checks->first) {
		struct check *check = checks->first;
		checks->first = check->next;
		check_free(check);
	}
	resolver_destroy(checks->resolver);
	lane_finish(&checks->lane);
	free(checks);
}
