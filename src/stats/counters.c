#include "stats/counters.h"

#include <stdlib.h>
#include <string.h>

static const double duration_bounds[] = {
	0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400, 86400};
static const double handshake_bounds[] = {
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
_Static_assert(COUNT(duration_bounds) <= HISTOGRAM_MAX, "HISTOGRAM_MAX");
_Static_assert(COUNT(handshake_bounds) <= HISTOGRAM_MAX, "HISTOGRAM_MAX");

void histogram_add(struct histogram *histogram, uint64_t us)
{
	double seconds = (double)us / 1e6;
	unsigned i = 0;
	while (i < histogram->count && seconds > histogram->bounds[i])
		i++;
	counter_add(&histogram->buckets[i], 1);
	counter_add(&histogram->sum_us, us);
}

void refusals_add(struct refusals *refusals, const struct refusal *refusal)
{
	if (atomic_flag_test_and_set_explicit(&refusals->busy, memory_order_acquire))
		return;
	refusals->items[refusals->next++ % REFUSALS_KEPT] = *refusal;
	atomic_flag_clear_explicit(&refusals->busy, memory_order_release);
}

unsigned refusals_copy(struct refusals *refusals, struct refusal *out)
{
	while (atomic_flag_test_and_set_explicit(&refusals->busy, memory_order_acquire))
		; /* the worker has it for the time of a memcpy */
	unsigned count = refusals->next < REFUSALS_KEPT ? refusals->next : REFUSALS_KEPT;
	memcpy(out, refusals->items, count * sizeof *out);
	atomic_flag_clear_explicit(&refusals->busy, memory_order_release);
	return count;
}

struct counters *counters_create(void)
{
	struct counters *counters = aligned_alloc(CACHE_LINE, sizeof *counters);
	if (!counters)
		return NULL;
	memset(counters, 0, sizeof *counters);
	counters->durations.bounds = duration_bounds;
	counters->durations.count = COUNT(duration_bounds);
	counters->handshakes.bounds = handshake_bounds;
	counters->handshakes.count = COUNT(handshake_bounds);
	atomic_flag_clear(&counters->refusals.busy);
	return counters;
}

void counters_destroy(struct counters *counters)
{
	free(counters);
}
