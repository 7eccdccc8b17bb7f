#include "admin/facts.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct facts {
	struct facts_setup setup;
	time_t started;
	pthread_mutex_t lock; /* over what follows */
	struct facts_told told;
	struct moment history[HISTORY_MOST];
	size_t remembered;
};

struct facts *facts_create(void)
{
	struct facts *facts = calloc(1, sizeof *facts);
	if (!facts)
		return NULL;
	pthread_mutex_init(&facts->lock, NULL);
	facts->started = time(NULL);
	return facts;
}

void facts_destroy(struct facts *facts)
{
	if (!facts)
		return;
	routes_unref(facts->told.routes);
	free(facts->setup.counters);
	pthread_mutex_destroy(&facts->lock);
	free(facts);
}

void facts_set_up(struct facts *facts, const struct facts_setup *setup)
{
	facts->setup = *setup;
}

const struct facts_setup *facts_of_setup(const struct facts *facts)
{
	return &facts->setup;
}

time_t facts_started(const struct facts *facts)
{
	return facts->started;
}

/* The last reference on a snapshot is the main thread's, who frees it: never one of ours. */
void facts_tell(struct facts *facts, const struct facts_told *told)
{
	struct routes *before;
	pthread_mutex_lock(&facts->lock);
	before = facts->told.routes;
	facts->told = *told;
	routes_ref(facts->told.routes);
	pthread_mutex_unlock(&facts->lock);
	routes_unref(before);
}

void facts_look(struct facts *facts, struct facts_told *out)
{
	pthread_mutex_lock(&facts->lock);
	*out = facts->told;
	routes_ref(out->routes);
	pthread_mutex_unlock(&facts->lock);
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
	if (before > turn)
		turn = before;
	if (turn > totals->turn_us)
		totals->turn_us = turn;
	for (unsigned i = 0; i < ENDINGS; i++) {
		unsigned long long ended = counter_get(&counters->endings[i]);
		totals->endings[i] += ended;
		totals->refused += ending_is_refusal(i) ? ended : 0;
	}
}

void facts_totals(const struct facts *facts, struct totals *out)
{
	*out = (struct totals){0};
	for (unsigned i = 0; i < facts->setup.workers; i++)
		add_counters(out, facts->setup.counters[i]);
}

void facts_remember(struct facts *facts)
{
	struct totals totals;
	struct timespec now;
	facts_totals(facts, &totals);
	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&facts->lock);
	facts->history[facts->remembered++ % HISTORY_MOST] =
		(struct moment){.at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
			.active = totals.active,
			.connections = totals.connections,
			.up = totals.up,
			.down = totals.down,
			.refused = totals.refused};
	pthread_mutex_unlock(&facts->lock);
}

size_t facts_history(struct facts *facts, struct moment out[HISTORY_MOST])
{
	pthread_mutex_lock(&facts->lock);
	size_t count = facts->remembered < HISTORY_MOST ? facts->remembered : HISTORY_MOST;
	for (size_t i = 0; i < count; i++)
		out[i] = facts->history[(facts->remembered - count + i) % HISTORY_MOST];
	pthread_mutex_unlock(&facts->lock);
	return count;
}

unsigned facts_stuck(const struct facts *facts, uint64_t seconds)
{
	unsigned stuck = 0;
	uint64_t now = clock_now_us();
	for (unsigned i = 0; i < facts->setup.workers; i++) {
		uint64_t beat = counter_get(&facts->setup.counters[i]->beat_us);
		stuck += beat > 0 && now > beat && now - beat > seconds * 1000000;
	}
	return stuck;
}

static int newest_first(const void *one, const void *other)
{
	const struct refusal *a = one, *b = other;
	return a->at_ms == b->at_ms ? 0 : a->at_ms > b->at_ms ? -1 : 1;
}

size_t facts_refusals(const struct facts *facts, struct refusal *out, size_t most)
{
	size_t count = 0;
	struct refusal *all = malloc(facts->setup.workers * REFUSALS_KEPT * sizeof *all);
	if (!all)
		return 0;
	for (unsigned i = 0; i < facts->setup.workers; i++) {
		struct counters *counters = (struct counters *)facts->setup.counters[i];
		count += refusals_copy(&counters->refusals, all + count);
	}
	qsort(all, count, sizeof *all, newest_first);
	if (count > most)
		count = most;
	memcpy(out, all, count * sizeof *out);
	free(all);
	return count;
}
