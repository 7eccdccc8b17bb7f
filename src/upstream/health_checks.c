#include "upstream/health_checks.h"

#include "base/log.h"
#include "dial/dial.h"
#include "net/loop_ctx.h"
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
	struct dial *dial;
	ev_timer timer;  /* to the next try, or the end of this one's patience */
	unsigned streak; /* of answers that speak against the state */
	bool wanted;
};

struct health_checks {
	struct ev_loop *loop;
	struct loop_ctx ctx;
	struct resolver *resolver;
	struct check *first;
	void *by_state; /* a tree (tsearch) of all */
};

static void set_timer(struct check *check, uint64_t ms)
{
	ev_timer_stop(check->checks->loop, &check->timer);
	ev_timer_set(&check->timer, (double)ms / 1000, 0.);
	ev_timer_start(check->checks->loop, &check->timer);
}

static void drop_try(struct check *check)
{
	dial_cancel(check->dial);
	check->dial = NULL;
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

static void secure(struct check *check)
{
	struct err err;
	if (!check->stream)
		check->stream = tls_connect_stream(
			&check->checks->ctx, &check->socket, check->tls, span_of(NULL, 0), &err);
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
		conclude(check, check->stream->error);
		return;
	case IO_DONE:
		break;
	}
	conclude(check, NULL);
}

static void on_ready(void *owner, struct socket *socket, int events)
{
	(void)socket, (void)events;
	secure(owner);
}

static void on_dialled(void *owner, const struct dial_result *result)
{
	struct check *check = owner;
	check->dial = NULL;
	if (result->fd >= 0)
		socket_adopt(&check->socket, result->fd);
	if (result->fd >= 0 && check->tls)
		secure(check);
	else
		conclude(check, result->fd >= 0 ? NULL : result->why);
}

static void begin(struct check *check)
{
	struct endpoint endpoint;
	struct err err;
	struct dial_setup setup = {.loop = check->checks->loop,
		.resolver = check->checks->resolver,
		.endpoint = &endpoint,
		.family = AF_UNSPEC,
		.on_done = on_dialled,
		.owner = check};
	set_timer(check, check->settings.timeout_ms);
	if (!endpoint_parse(check->state->text, &endpoint, &err) ||
		!(check->dial = dial_start(&setup, &err)))
		conclude(check, err.text);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct check *check = timer->data;
	(void)loop, (void)events;
	if (check->dial || check->stream)
		conclude(check, "no answer in time");
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
	if (loop_ctx_init(&checks->ctx, loop, err) &&
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
		for (unsigned at = 0; backend->health.kind != HEALTH_NONE && at < backend->count;
			at++)
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
	loop_ctx_finish(&checks->ctx);
	free(checks);
}
