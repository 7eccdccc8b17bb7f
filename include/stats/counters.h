/*
 * What one worker has counted since it began. The worker alone writes, with relaxed stores and no
 * lock; a sum is over the structs of all workers. A reader may see one number of a
 * connection and not yet the next; each number only grows, but for the gauges.
 */
#ifndef GATEHOUSE_STATS_COUNTERS_H
#define GATEHOUSE_STATS_COUNTERS_H

#include "net/address.h"
#include "preface/preface.h"
#include "stats/end_reason.h"

#include <stdatomic.h>

typedef atomic_ullong counter;

static inline unsigned long long counter_get(const counter *cell)
{
	return atomic_load_explicit((counter *)cell, memory_order_relaxed);
}

static inline void counter_set(counter *cell, unsigned long long value)
{
	atomic_store_explicit(cell, value, memory_order_relaxed);
}

/* For its one writer. */
static inline void counter_add(counter *cell, unsigned long long n)
{
	counter_set(cell, counter_get(cell) + n);
}

#define HISTOGRAM_MAX 16

/* `bounds` are upper ones, in seconds, ascending; what is above the last is counted as well. */
struct histogram {
	const double *bounds;
	unsigned count;
	counter buckets[HISTOGRAM_MAX + 1], sum_us;
};
void histogram_add(struct histogram *histogram, uint64_t us);

/* A connection that was refused; the texts are cut. */
struct refusal {
	int64_t at_ms; /* since 1970 */
	enum end_reason end_reason;
	char source[ADDRESS_TEXT_MAX], name[80], why[120];
};

#define REFUSALS_KEPT 16

/* The newest ones. The worker never waits for a reader: what ends meanwhile is left out. */
struct refusals {
	atomic_flag busy;
	unsigned next;
	struct refusal items[REFUSALS_KEPT];
};
void refusals_add(struct refusals *refusals, const struct refusal *refusal);

/* At most REFUSALS_KEPT, in no order; how many. */
unsigned refusals_copy(struct refusals *refusals, struct refusal *out);

#define CACHE_LINE 64

struct counters {
	_Alignas(CACHE_LINE) counter connections;
	counter active, up,
		down; /* gauge: active; bytes, of live connections up to the last second */
	counter acl_admitted, acl_denied, dial_errors;
	counter deaf; /* gauge: listening sockets that are not accepted from */
	counter end_reasons[END_REASONS];
	counter prefaces[PREFACES_MAX]; /* completed, in the order of the registry */
	struct histogram durations, handshakes;
	/* Gauges, set once a second while statistics are on (see `tick_us`). */
	counter pipes;
	counter held; /* bytes that wait for slow readers */
	counter handshakes_waiting;
	counter turn_us,
		turn_before_us; /* the longest turn of the loop, of this period and the last */
	counter tick_us;        /* clock_now_us of the last second's turn; 0: not ticking */
	struct refusals refusals;
};

/* All zero but for the histograms' bounds; NULL: no memory. */
struct counters *counters_create(void);
void counters_destroy(struct counters *counters);

#endif
