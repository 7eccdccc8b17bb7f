#include "stats/counters.h"

#include <stdlib.h>
#include <string.h>

static const double duration_bounds[] = {
	0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400, 86400};
static const double handshake_bounds[] = {
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
_Static_assert(COUNT(duration_bounds) <= HISTOGRAM_MOST, "HISTOGRAM_MOST");
_Static_assert(COUNT(handshake_bounds) <= HISTOGRAM_MOST, "HISTOGRAM_MOST");

static const struct {
	const char *name;
	bool is_refusal;
} endings[ENDINGS] = {
	[ENDING_DONE] = {"done", false},
	[ENDING_IDLE] = {"idle", false},
	[ENDING_CLIENT_BROKE] = {"client_broke", false},
	[ENDING_UPSTREAM_BROKE] = {"upstream_broke", false},
	[ENDING_NO_HELLO] = {"no_hello", true},
	[ENDING_NOT_TLS] = {"not_tls", true},
	[ENDING_BAD_HELLO] = {"bad_hello", true},
	[ENDING_BAD_PREFACE] = {"bad_preface", true},
	[ENDING_NO_HOST] = {"no_host", true},
	[ENDING_NO_PROTOCOL] = {"no_protocol", true},
	[ENDING_LIMIT] = {"limit", true},
	[ENDING_DRAINED] = {"drained", true},
	[ENDING_HANDSHAKE] = {"handshake", true},
	[ENDING_NOT_ADMITTED] = {"not_admitted", true},
	[ENDING_DIAL] = {"dial", true},
	[ENDING_UPSTREAM_HANDSHAKE] = {"upstream_handshake", true},
	[ENDING_REVALIDATED] = {"revalidated", false},
	[ENDING_KILLED] = {"killed", false},
	[ENDING_STOPPED] = {"stopped", false},
	[ENDING_NO_MEMORY] = {"no_memory", true},
	[ENDING_OTHER] = {"other", true},
};

const char *ending_name(enum ending ending)
{
	return endings[ending].name;
}

bool ending_is_refusal(enum ending ending)
{
	return endings[ending].is_refusal;
}

/* How the words begin; the first that fits. A reason that is not here is classed by its step. */
static const struct {
	const char *words;
	enum ending ending;
} beginnings[] = {
	{"done", ENDING_DONE},
	{"idle timeout", ENDING_IDLE},
	{"gatehouse stops", ENDING_STOPPED},
	{"killed", ENDING_KILLED},
	{"revalidate:", ENDING_REVALIDATED},
	{"out of memory", ENDING_NO_MEMORY},
	{"hello timeout", ENDING_NO_HELLO},
	{"client closed", ENDING_NO_HELLO},
	{"client reset before", ENDING_NO_HELLO},
	{"not TLS", ENDING_NOT_TLS},
	{"no such host", ENDING_NO_HOST},
	{"no application protocol", ENDING_NO_PROTOCOL},
	{"server name", ENDING_BAD_HELLO},
	{"ALPN", ENDING_BAD_HELLO},
	{"max_", ENDING_LIMIT},
	{"rate_", ENDING_LIMIT},
	{"drained", ENDING_DRAINED},
	{"handshake", ENDING_HANDSHAKE},
	{"upstream: handshake", ENDING_UPSTREAM_HANDSHAKE},
};

static const struct {
	const char *step;
	enum ending ending;
} steps[] = {
	{"proxy_header", ENDING_BAD_PREFACE},
	{"sniff", ENDING_BAD_HELLO},
	{"secure_client", ENDING_HANDSHAKE},
	{"answer_421", ENDING_NO_HOST},
	{"open_upstream", ENDING_DIAL},
	{"secure_upstream", ENDING_UPSTREAM_HANDSHAKE},
	{"greet_upstream", ENDING_DIAL},
};

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* A refusal that lingers has left its step behind: "upstream 10.0.0.1:80: handshake: ...". */
static enum ending by_upstream(const char *why)
{
	return strstr(why, ": handshake") ? ENDING_UPSTREAM_HANDSHAKE : ENDING_DIAL;
}

enum ending ending_of(const char *why, const char *step, bool relaying)
{
	for (size_t i = 0; i < COUNT(beginnings); i++)
		if (begins_with(why, beginnings[i].words))
			return beginnings[i].ending;
	if (relaying)
		return begins_with(why, "client") ? ENDING_CLIENT_BROKE : ENDING_UPSTREAM_BROKE;
	if (begins_with(why, "upstream"))
		return by_upstream(why);
	for (size_t i = 0; i < COUNT(steps); i++)
		if (step && strcmp(step, steps[i].step) == 0)
			return steps[i].ending;
	/* What is refused with an alert and has none of the words above is a hello. */
	bool is_farewell = step && (strcmp(step, "say_end") == 0 || strcmp(step, "hear_out") == 0);
	return is_farewell ? ENDING_BAD_HELLO : ENDING_OTHER;
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
