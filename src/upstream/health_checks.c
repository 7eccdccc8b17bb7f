#include "upstream/health_checks.h"

#include "base/log.h"
#include "upstream/connector.h"
#include "wire/proxy_header.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

enum try_state {
	TRY_LATER,   /* the timer runs */
	TRY_WAITING, /* it is due: in checks->waiting */
	TRY_RUNNING, /* it connects */
};

/* One server's check. */
struct check {
	struct health_checks *checks;
	struct check *next;
	struct server_state *state;
	struct health_settings settings;
	enum proxy_out proxy_protocol;
	const struct preface *starttls;
	struct tls_peer *tls;      /* a reference; NULL: connecting is enough */
	struct plain_stream plain; /* memory of the connector's stream */
	struct connector connector;
	ev_timer timer;                         /* to the next try */
	struct check *waits_next, **waits_link; /* in checks->waiting */
	enum try_state try;
	unsigned streak; /* of answers that speak against the state */
	bool wanted;
};

/* Of those that the daemon keeps for its main thread (daemon/descriptors.c). */
#define SPARE_SOCKETS 8

struct health_checks {
	struct ev_loop *loop;
	struct loop_ctx ctx;
	struct resolver *resolver;
	struct check *first;
	void *by_state;                       /* a tree (tsearch) of all */
	struct check *waiting, **waiting_end; /* due and not begun, the longest wait first */
	unsigned running;                     /* those that connect */
	ev_timer begins;                      /* in the next turn of the loop */
};

static void begin_soon(struct health_checks *checks)
{
	if (ev_is_active(&checks->begins))
		return;
	ev_timer_set(&checks->begins, 0., 0.);
	ev_timer_start(checks->loop, &checks->begins);
}

static void waiting_add(struct health_checks *checks, struct check *check)
{
	check->waits_next = NULL;
	check->waits_link = checks->waiting_end;
	*check->waits_link = check;
	checks->waiting_end = &check->waits_next;
}

static void waiting_remove(struct health_checks *checks, struct check *check)
{
	*check->waits_link = check->waits_next;
	if (check->waits_next)
		check->waits_next->waits_link = check->waits_link;
	else
		checks->waiting_end = check->waits_link;
}

/* Leaves the state before, and enters the other. */
static void check_set_try(struct check *check, enum try_state state)
{
	struct health_checks *checks = check->checks;
	if (check->try == TRY_WAITING)
		waiting_remove(checks, check);
	if (check->try == TRY_RUNNING)
		checks->running--;
	check->try = state;
	if (state == TRY_WAITING)
		waiting_add(checks, check);
	if (state == TRY_RUNNING)
		checks->running++;
	if (checks->waiting && checks->running < HEALTH_CHECKS_AT_ONCE)
		begin_soon(checks);
}

static void set_timer(struct check *check, uint64_t ms)
{
	check_set_try(check, TRY_LATER);
	ev_timer_stop(check->checks->loop, &check->timer);
	ev_timer_set(&check->timer, (double)ms / 1000, 0.);
	ev_timer_start(check->checks->loop, &check->timer);
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
static void conclude_try(struct check *check, const char *why)
{
	bool is_down = atomic_load(&check->state->unhealthy);
	bool speaks_against = is_down == (why == NULL);
	check->streak = speaks_against ? check->streak + 1 : 0;
	if (check->streak >= (is_down ? check->settings.rise : check->settings.fall)) {
		check->streak = 0;
		atomic_store(&check->state->unhealthy, !is_down);
		if (is_down) /* what connections found out is older than this */
			atomic_store(&check->state->down_until, 0);
		log_turn(check, is_down ? "server marked up" : "server marked down", why);
	}
	connector_cancel(&check->connector);
	set_timer(check, check->settings.interval_ms);
}

/* A check is no client's connection: LOCAL, or UNKNOWN. */
static size_t write_local_header(void *owner, uint8_t *out, size_t size)
{
	const struct check *check = owner;
	const struct proxy_info nobody = {0};
	return check->proxy_protocol == PROXY_OUT_V1 ? proxy_v1_encode(&nobody, out, size)
						     : proxy_v2_encode(&nobody, out, size);
}

static void conclude_connect(struct check *check)
{
	const struct connector *connector = &check->connector;
	const char *why = connector->is_timeout ? "no answer in time" : connector->why;
	conclude_try(check, connector->state == CONNECT_READY ? NULL : why);
}

static void on_connect_done(void *owner)
{
	conclude_connect(owner);
}

/* As a session would connect; a check that only connects says nothing. */
static enum connect_state start_connect(struct check *check, const struct endpoint *endpoint)
{
	bool is_said = check->tls && check->proxy_protocol != PROXY_OUT_NONE;
	struct connector_setup setup = {.ctx = &check->checks->ctx,
		.resolver = check->checks->resolver,
		.endpoint = endpoint,
		.family = AF_UNSPEC,
		.plain = &check->plain,
		.write_header = is_said ? write_local_header : NULL,
		.starttls = check->tls ? check->starttls : NULL,
		.tls = check->tls,
		.dial_ms = check->settings.timeout_ms,
		.secure_ms = CONNECT_SAME_LIMIT,
		.on_done = on_connect_done,
		.owner = check};
	return connector_start(&check->connector, &setup);
}

static void begin_try(struct check *check)
{
	struct endpoint endpoint;
	struct err err;
	if (!endpoint_parse(check->state->text, &endpoint, &err)) {
		conclude_try(check, err.text);
		return;
	}
	if (start_connect(check, &endpoint) != CONNECT_WAIT)
		conclude_connect(check);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	check_set_try(timer->data, TRY_WAITING);
}

/* What concludes at once counts in this turn, too: the main thread has other work. */
static void on_begin(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct health_checks *checks = timer->data;
	(void)loop, (void)events;
	for (unsigned i = checks->running; checks->waiting && i < HEALTH_CHECKS_AT_ONCE; i++) {
		struct check *check = checks->waiting;
		check_set_try(check, TRY_RUNNING);
		begin_try(check);
	}
}

static int compare_checks(const void *a, const void *b)
{
	const struct check *one = a, *other = b;
	return one->state < other->state ? -1 : one->state > other->state;
}

static void check_free(struct check *check)
{
	tdelete(check, &check->checks->by_state, compare_checks);
	check_set_try(check, TRY_LATER);
	ev_timer_stop(check->checks->loop, &check->timer);
	connector_cancel(&check->connector);
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
	checks->waiting_end = &checks->waiting;
	ev_timer_init(&checks->begins, on_begin, 0., 0.);
	checks->begins.data = checks;
	if (loop_ctx_init(&checks->ctx, loop, err) &&
		(checks->resolver = resolver_create(loop, NULL, err)) != NULL) {
		checks->ctx.spare_sockets = SPARE_SOCKETS;
		return checks;
	}
	health_checks_destroy(checks);
	return NULL;
}

static struct check *check_find(struct health_checks *checks, struct server_state *state)
{
	struct check wanted = {.state = state};
	struct check **found = tfind(&wanted, &checks->by_state, compare_checks);
	return found ? *found : NULL;
}

static struct check *check_add(struct health_checks *checks, struct server_state *state)
{
	struct check *check = calloc(1, sizeof *check);
	if (!check)
		return NULL;
	check->checks = checks;
	check->state = state;
	if (!tsearch(check, &checks->by_state, compare_checks)) {
		free(check);
		return NULL;
	}
	connector_init(&check->connector);
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
static void check_want(
	struct health_checks *checks, const struct backend *backend, const struct server *server)
{
	struct check *check = check_find(checks, server->state);
	bool is_new = !check;
	if (check && check->wanted)
		return;
	if (is_new && !(check = check_add(checks, server->state)))
		return;
	check->wanted = true;
	if (!is_new && check->tls == server->tls_check && check->starttls == backend->starttls &&
		check->proxy_protocol == backend->proxy_protocol &&
		is_equal(&check->settings, &backend->health))
		return; /* a reload does not put its next try off */
	connector_cancel(&check->connector);
	tls_peer_unref(check->tls);
	check->settings = backend->health;
	check->starttls = backend->starttls;
	check->proxy_protocol = backend->proxy_protocol;
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

void health_checks_begin(struct health_checks *checks)
{
	for (struct check *check = checks->first; check; check = check->next)
		check->wanted = false;
}

void health_checks_add(struct health_checks *checks, const struct backend *backend)
{
	for (unsigned i = 0; backend->health.kind != HEALTH_NONE && i < backend->count; i++)
		check_want(checks, backend, &backend->servers[i]);
}

void health_checks_end(struct health_checks *checks)
{
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
	ev_timer_stop(checks->loop, &checks->begins);
	resolver_destroy(checks->resolver);
	loop_ctx_finish(&checks->ctx);
	free(checks);
}
