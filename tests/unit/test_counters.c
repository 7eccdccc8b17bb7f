/* Why a connection ended, by the words of the log; histograms; the newest refusals. */
#include "stats/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void endings_are_classed_by_their_words(void **state)
{
	static const struct {
		const char *why, *step;
		bool relaying;
		enum end_reason end_reason;
	} cases[] = {
		{"done", "relay", true, END_DONE},
		{"idle timeout", "relay", true, END_IDLE},
		{"client: reset", "relay", true, END_CLIENT_BROKE},
		{"upstream: reset", "relay", true, END_UPSTREAM_BROKE},
		{"gatehouse stops", "relay", true, END_STOPPED},
		{"killed by the administrator", "relay", true, END_KILLED},
		{"revalidate: the route is gone", "relay", true, END_REVALIDATED},
		{"client closed without a word", "sniff", false, END_NO_HELLO},
		{"client reset before its hello", "sniff", false, END_NO_HELLO},
		{"hello timeout", "sniff", false, END_NO_HELLO},
		{"not TLS", "sniff", false, END_NOT_TLS},
		{"the record is too short", "drain_input", false, END_BAD_HELLO},
		{"server name holds a NUL byte", "drain_input", false, END_BAD_HELLO},
		{"ALPN list is empty", "drain_input", false, END_BAD_HELLO},
		{"expected a PROXY header", "proxy_header", false, END_BAD_PREFACE},
		{"no such host", "drain_input", false, END_NO_HOST},
		{"no such host: answered 421", "drain_input", false, END_NO_HOST},
		{"no application protocol of this host", "drain_input", false, END_NO_PROTOCOL},
		{"max_connections of the host reached", "drain_input", false, END_LIMIT},
		{"rate_per_source reached", "admit_source", false, END_LIMIT},
		{"drained", "drain_input", false, END_DRAINED},
		{"handshake: no shared cipher", "drain_input", false, END_HANDSHAKE},
		{"handshake timeout", "handshake_client", false, END_HANDSHAKE},
		{"upstream 127.0.0.1:1: connection refused", "drain_input", false, END_DIAL},
		{"upstream: no server left to try", "drain_input", false, END_DIAL},
		{"upstream a:1: handshake: expired", "drain_input", false, END_UPSTREAM_HANDSHAKE},
		{"out of memory", "sniff", false, END_NO_MEMORY},
		{"something new", "acquire_slot", false, END_NO_HELLO},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum end_reason got = end_reason_of(cases[i].why, cases[i].step, cases[i].relaying);
		if (got != cases[i].end_reason)
			fail_msg("\"%s\" at %s is %s", cases[i].why, cases[i].step,
				end_reason_info(got)->name);
	}
}

static void endings_have_names_of_their_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < END_REASONS; i++) {
		assert_non_null(end_reason_info(i)->name);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(end_reason_info(i)->name, end_reason_info(j)->name);
	}
	assert_false(end_reason_info(END_DONE)->is_refusal);
	assert_true(end_reason_info(END_NO_HOST)->is_refusal);
}

static void a_histogram_counts_up_to_its_bounds(void **state)
{
	struct counters *counters = counters_create();
	struct histogram *histogram = &counters->handshakes;
	unsigned long long sum = 0;
	(void)state;
	histogram_add(histogram, 500); /* on the first bound */
	histogram_add(histogram, 501);
	histogram_add(histogram, 3600000000); /* above the last */
	assert_int_equal(counter_get(&histogram->buckets[0]), 1);
	assert_int_equal(counter_get(&histogram->buckets[1]), 1);
	assert_int_equal(counter_get(&histogram->buckets[histogram->count]), 1);
	assert_int_equal(counter_get(&histogram->sum_us), 3600001001);
	for (unsigned i = 0; i <= histogram->count; i++)
		sum += counter_get(&histogram->buckets[i]);
	assert_int_equal(sum, 3);
	for (unsigned i = 1; i < histogram->count; i++)
		assert_true(histogram->bounds[i] > histogram->bounds[i - 1]);
	counters_destroy(counters);
}

static void the_newest_refusals_are_kept(void **state)
{
	struct counters *counters = counters_create();
	struct refusal out[REFUSALS_KEPT];
	(void)state;
	assert_int_equal(refusals_copy(&counters->refusals, out), 0);
	for (int i = 0; i < REFUSALS_KEPT + 5; i++)
		refusals_add(&counters->refusals, &(struct refusal){.at_ms = i});
	assert_int_equal(refusals_copy(&counters->refusals, out), REFUSALS_KEPT);
	for (int i = 0; i < REFUSALS_KEPT; i++)
		assert_in_range(out[i].at_ms, 5, REFUSALS_KEPT + 4);
	counters_destroy(counters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endings_are_classed_by_their_words),
		cmocka_unit_test(endings_have_names_of_their_own),
		cmocka_unit_test(a_histogram_counts_up_to_its_bounds),
		cmocka_unit_test(the_newest_refusals_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
