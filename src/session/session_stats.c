#include "session/session_stats.h"

#include "base/clock.h"
#include "net/pipes.h"
#include "route/routes_stats.h"

#include <stdio.h>
#include <time.h>

#define TICK_SECONDS 1.0
/* After so many ticks the longest turn of the loop is that of the last period. */
#define PERIOD_TICKS   15
#define FOLDED_AT_ONCE 2048
#define PAUSE_SECONDS  0.02

/* Worker indexes are below 1024: an id names its worker as well. */
#define ID_WORKERS 1024

void count_started(struct session *session)
{
	struct counters *counters = session->service->counters;
	session->id = counter_get(&counters->connections) * ID_WORKERS + session->service->index;
	counter_add(&counters->connections, 1);
	counter_set(&counters->active, service_sessions(session->service));
}

void count_routed(struct session *session)
{
	struct route_stats *stats = routes_stats_of(
		session->service->limits->route_stats, session->routes, session->route);
	session->stats = stats;
	atomic_fetch_add_explicit(&stats->connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&stats->active, 1, memory_order_relaxed);
}

void count_acl(struct session *session, bool is_admitted)
{
	struct counters *counters = session->service->counters;
	counter_add(is_admitted ? &counters->acl_admitted : &counters->acl_denied, 1);
}

/* Without rules every verified certificate is admitted: that is a decision too. */
void count_secured(struct session *session)
{
	struct stream_facts facts;
	histogram_add(&session->service->counters->handshakes, session->handshake_us);
	if (!session->route || session->route->acl)
		return;
	stream_facts(session->client, &facts);
	if (facts.identity)
		count_acl(session, true);
}

void count_preface(struct session *session, const struct preface *preface)
{
	counter_add(&session->service->counters->prefaces[preface_index(preface)], 1);
}

void count_dial_error(struct session *session)
{
	counter_add(&session->service->counters->dial_errors, 1);
}

static void add_bytes(struct session *session)
{
	struct counters *counters = session->service->counters;
	struct forwarding *forwarding = session->forwarding;
	if (!forwarding)
		return;
	uint64_t more_up = session_up(session) - forwarding->counted_up;
	uint64_t more_down = session_down(session) - forwarding->counted_down;
	if (more_up == 0 && more_down == 0)
		return;
	counter_add(&counters->up, more_up);
	counter_add(&counters->down, more_down);
	if (session->stats) {
		atomic_fetch_add_explicit(&session->stats->up, more_up, memory_order_relaxed);
		atomic_fetch_add_explicit(&session->stats->down, more_down, memory_order_relaxed);
	}
	forwarding->counted_up += more_up;
	forwarding->counted_down += more_down;
}

static void keep_refusal(const struct session *session, enum end_reason reason, const char *why)
{
	struct refusal refusal = {.end_reason = reason};
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	refusal.at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	session_source_text(session, refusal.source);
	snprintf(
		refusal.name, sizeof refusal.name, "%s", session->hello ? session->hello->sni : "");
	snprintf(refusal.why, sizeof refusal.why, "%s", why);
	refusals_add(&session->service->counters->refusals, &refusal);
}

void count_ended(struct session *session, enum end_reason reason, const char *why)
{
	struct counters *counters = session->service->counters;
	bool was_routed = session->stats != NULL;
	if (!was_routed)
		session->stats = route_stats_none(session->service->limits->route_stats);
	add_bytes(session);
	counter_add(&counters->end_reasons[reason], 1);
	histogram_add(&counters->durations, clock_now_us() - session->began_us);
	counter_set(&counters->active, service_sessions(session->service) - 1);
	if (was_routed)
		atomic_fetch_sub_explicit(&session->stats->active, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&session->stats->connections, 1, memory_order_relaxed);
	if (!end_reason_info(reason)->is_refusal)
		return;
	atomic_fetch_add_explicit(&session->stats->errors, 1, memory_order_relaxed);
	keep_refusal(session, reason, why);
}

/* Once a second. */

static void set_tick_timer(struct service *service, double seconds)
{
	struct session_stats *stats = &service->session_stats;
	ev_timer_stop(service->ctx.loop, &stats->tick);
	ev_timer_set(&stats->tick, seconds, 0.);
	ev_timer_start(service->ctx.loop, &stats->tick);
}

/* The longest turn of a whole period at least stays to be seen. */
static void record_tick(struct service *service)
{
	struct counters *counters = service->counters;
	if (++service->session_stats.ticks % PERIOD_TICKS == 0) {
		counter_set(&counters->turn_before_us, counter_get(&counters->turn_us));
		counter_set(&counters->turn_us, 0);
	}
	counter_set(&counters->pipes, pipes_in_use(service->ctx.pipes));
	counter_set(&counters->held, service->ctx.held);
	counter_set(&counters->tick_us, clock_now_us());
}

/* False: more are left for the next turn. */
static bool fold_bytes(struct service *service)
{
	struct session *session = NULL;
	for (unsigned i = 0; i < FOLDED_AT_ONCE; i++) {
		session = session_iter_next(&service->session_stats.iter);
		if (!session)
			return true;
		add_bytes(session);
	}
	return false;
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct service *service = timer->data;
	struct session_stats *stats = &service->session_stats;
	(void)loop, (void)events;
	record_tick(service);
	if (!stats->is_folding)
		session_iter_begin(&stats->iter, service);
	stats->is_folding = !fold_bytes(service);
	if (!stats->is_folding)
		session_iter_end(&stats->iter);
	set_tick_timer(service, stats->is_folding ? PAUSE_SECONDS : TICK_SECONDS);
}

static void on_woken(struct ev_loop *loop, ev_check *check, int events)
{
	struct service *service = check->data;
	(void)loop, (void)events;
	service->session_stats.woken_us = clock_now_us();
}

static void on_sleep(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct service *service = prepare->data;
	struct counters *counters = service->counters;
	(void)loop, (void)events;
	uint64_t turn = clock_now_us() - service->session_stats.woken_us;
	if (service->session_stats.woken_us > 0 && turn > counter_get(&counters->turn_us))
		counter_set(&counters->turn_us, turn);
	service->session_stats.woken_us = 0;
}

void session_stats_init(struct service *service)
{
	struct session_stats *stats = &service->session_stats;
	ev_timer_init(&stats->tick, on_tick, 0., 0.);
	ev_check_init(&stats->woken, on_woken);
	ev_prepare_init(&stats->sleep, on_sleep);
	stats->tick.data = stats->woken.data = stats->sleep.data = service;
}

static void session_stats_start(struct service *service)
{
	service->session_stats.woken_us = 0;
	ev_check_start(service->ctx.loop, &service->session_stats.woken);
	ev_prepare_start(service->ctx.loop, &service->session_stats.sleep);
	on_tick(service->ctx.loop, &service->session_stats.tick, 0);
}

static void session_stats_stop(struct service *service)
{
	struct session_stats *stats = &service->session_stats;
	if (stats->is_folding)
		session_iter_end(&stats->iter);
	stats->is_folding = false;
	ev_timer_stop(service->ctx.loop, &stats->tick);
	ev_check_stop(service->ctx.loop, &stats->woken);
	ev_prepare_stop(service->ctx.loop, &stats->sleep);
	counter_set(&service->counters->tick_us, 0);
}

void session_stats_follow(struct service *service, bool wanted)
{
	if (wanted == service->session_stats.is_on)
		return;
	service->session_stats.is_on = wanted;
	if (wanted)
		session_stats_start(service);
	else
		session_stats_stop(service);
}
