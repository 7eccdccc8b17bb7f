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

/* How the words begin; the first that fits. A reason that is not here is classed by its step. */
static const struct {
	const char *words;
	enum end_reason end_reason;
} beginnings[] = {
	{"done", END_DONE},
	{"idle timeout", END_IDLE},
	{"gatehouse stops", END_STOPPED},
	{"killed", END_KILLED},
	{"revalidate:", END_REVALIDATED},
	{"out of memory", END_NO_MEMORY},
	{"hello timeout", END_NO_HELLO},
	{"client closed", END_NO_HELLO},
	{"client reset before", END_NO_HELLO},
	{"not TLS", END_NOT_TLS},
	{"no such host", END_NO_HOST},
	{"no application protocol", END_NO_PROTOCOL},
	{"server name", END_BAD_HELLO},
	{"ALPN", END_BAD_HELLO},
	{"max_", END_LIMIT},
	{"rate_", END_LIMIT},
	{"drained", END_DRAINED},
	{"handshake", END_HANDSHAKE},
	{"upstream: handshake", END_UPSTREAM_HANDSHAKE},
};

static const struct {
	const char *step;
	enum end_reason end_reason;
} steps[] = {
	{"proxy_header", END_BAD_PREFACE},
	{"sniff", END_BAD_HELLO},
	{"handshake_client", END_HANDSHAKE},
	{"answer_421", END_NO_HOST},
	{"open_upstream", END_DIAL},
	{"handshake_upstream", END_UPSTREAM_HANDSHAKE},
	{"send_proxy_header", END_DIAL},
};

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* A refusal that lingers has left its step behind: "upstream 10.0.0.1:80: handshake: ...". */
static enum end_reason by_upstream(const char *why)
{
	return strstr(why, ": handshake") ? END_UPSTREAM_HANDSHAKE : END_DIAL;
}

enum end_reason end_reason_of(const char *why, const char *step, bool relaying)
{
	for (size_t i = 0; i < COUNT(beginnings); i++)
		if (begins_with(why, beginnings[i].words))
			return beginnings[i].end_reason;
	if (relaying)
		return begins_with(why, "client") ? END_CLIENT_BROKE : END_UPSTREAM_BROKE;
	if (begins_with(why, "upstream"))
		return by_upstream(why);
	for (size_t i = 0; i < COUNT(steps); i++)
		if (step && strcmp(step, steps[i].step) == 0)
			return steps[i].end_reason;
	/* What is refused with an alert and has none of the words above is a hello. */
	bool is_farewell =
		step && (strcmp(step, "send_close") == 0 || strcmp(step, "drain_input") == 0);
	return is_farewell ? END_BAD_HELLO : END_NO_HELLO;
}

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
