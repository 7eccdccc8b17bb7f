#include "admin/state.h"

#include "base/clock.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
	char host_name[HOST_NAME_MAX + 1];
	struct state_setup setup;
	time_t started;
	uint64_t started_us;  /* on the monotonic clock */
	pthread_mutex_t lock; /* over what follows */
	struct published_state published;
	struct moment history[HISTORY_MAX];
	size_t remembered;
};

struct state *state_create(void)
{
	struct state *state = calloc(1, sizeof *state);
	if (!state)
		return NULL;
	pthread_mutex_init(&state->lock, NULL);
	if (gethostname(state->host_name, HOST_NAME_MAX) != 0)
		state->host_name[0] = '\0';
	state->started = time(NULL);
	state->started_us = clock_now_us();
	return state;
}

void state_destroy(struct state *state)
{
	if (!state)
		return;
	routes_unref(state->published.routes);
	free(state->setup.counters);
	pthread_mutex_destroy(&state->lock);
	free(state);
}

void state_set_up(struct state *state, const struct state_setup *setup)
{
	state->setup = *setup;
}

const struct state_setup *state_of_setup(const struct state *state)
{
	return &state->setup;
}

const char *state_host_name(const struct state *state)
{
	return state->host_name;
}

time_t state_started(const struct state *state)
{
	return state->started;
}

uint64_t state_uptime(const struct state *state)
{
	return (clock_now_us() - state->started_us) / 1000000;
}

/* The last reference on a snapshot is the main thread's, which frees it: never this one. */
void state_publish(struct state *state, const struct published_state *published)
{
	struct routes *before;
	pthread_mutex_lock(&state->lock);
	before = state->published.routes;
	state->published = *published;
	routes_ref(state->published.routes);
	pthread_mutex_unlock(&state->lock);
	routes_unref(before);
}

void state_read(struct state *state, struct published_state *out)
{
	pthread_mutex_lock(&state->lock);
	*out = state->published;
	routes_ref(out->routes);
	pthread_mutex_unlock(&state->lock);
}

static void add_counters(struct totals *totals, const struct counters *counters)
{
	unsigned long long turn = counter_get(&counters->turn_us);
	unsigned long long before = counter_get(&counters->turn_before_us);
	totals->connections += counter_get(&counters->connections);
	totals->active += counter_get(&counters->active);
	totals->up += counter_get(&counters->up);
	totals->down += counter_get(&counters->down);
	totals->acl_admitted += counter_get(&counters->acl_admitted);
	totals->acl_denied += counter_get(&counters->acl_denied);
	totals->dial_errors += counter_get(&counters->dial_errors);
	totals->pipes += counter_get(&counters->pipes);
	totals->held += counter_get(&counters->held);
	totals->handshakes_waiting += counter_get(&counters->handshakes_waiting);
	totals->deaf += counter_get(&counters->deaf);
	if (before > turn)
		turn = before;
	if (turn > totals->turn_us)
		totals->turn_us = turn;
	for (unsigned i = 0; i < PREFACES_MAX; i++)
		totals->prefaces[i] += counter_get(&counters->prefaces[i]);
	for (unsigned i = 0; i < END_REASONS; i++) {
		unsigned long long ended = counter_get(&counters->end_reasons[i]);
		totals->end_reasons[i] += ended;
		totals->refused += end_reason_info(i)->is_refusal ? ended : 0;
	}
}

void state_totals(const struct state *state, struct totals *out)
{
	*out = (struct totals){0};
	for (unsigned i = 0; i < state->setup.workers; i++)
		add_counters(out, state->setup.counters[i]);
}

void state_remember(struct state *state)
{
	struct totals totals;
	struct timespec now;
	state_totals(state, &totals);
	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&state->lock);
	state->history[state->remembered++ % HISTORY_MAX] =
		(struct moment){.at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
			.active = totals.active,
			.connections = totals.connections,
			.up = totals.up,
			.down = totals.down,
			.refused = totals.refused};
	pthread_mutex_unlock(&state->lock);
}

size_t state_history(struct state *state, struct moment out[HISTORY_MAX])
{
	pthread_mutex_lock(&state->lock);
	size_t count = state->remembered < HISTORY_MAX ? state->remembered : HISTORY_MAX;
	for (size_t i = 0; i < count; i++)
		out[i] = state->history[(state->remembered - count + i) % HISTORY_MAX];
	pthread_mutex_unlock(&state->lock);
	return count;
}

unsigned state_stuck(const struct state *state, uint64_t seconds)
{
	unsigned stuck = 0;
	uint64_t now = clock_now_us();
	for (unsigned i = 0; i < state->setup.workers; i++) {
		uint64_t tick = counter_get(&state->setup.counters[i]->tick_us);
		stuck += tick > 0 && now > tick && now - tick > seconds * 1000000;
	}
	return stuck;
}

static int newest_first(const void *one, const void *other)
{
	const struct refusal *a = one, *b = other;
	return a->at_ms == b->at_ms ? 0 : a->at_ms > b->at_ms ? -1 : 1;
}

size_t state_refusals(const struct state *state, struct refusal *out, size_t max)
{
	size_t count = 0;
	struct refusal *all = malloc(state->setup.workers * REFUSALS_KEPT * sizeof *all);
	if (!all)
		return 0;
	for (unsigned i = 0; i < state->setup.workers; i++) {
		struct counters *counters = (struct counters *)state->setup.counters[i];
		count += refusals_copy(&counters->refusals, all + count);
	}
	qsort(all, count, sizeof *all, newest_first);
	if (count > max)
		count = max;
	memcpy(out, all, count * sizeof *out);
	free(all);
	return count;
}
