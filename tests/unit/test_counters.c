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
		enum ending ending;
	} cases[] = {
		{"done", "relay", true, ENDING_DONE},
		{"idle timeout", "relay", true, ENDING_IDLE},
		{"client: reset", "relay", true, ENDING_CLIENT_BROKE},
		{"upstream: reset", "relay", true, ENDING_UPSTREAM_BROKE},
		{"gatehouse stops", "relay", true, ENDING_STOPPED},
		{"killed by the administrator", "relay", true, ENDING_KILLED},
		{"revalidate: the route is gone", "relay", true, ENDING_REVALIDATED},
		{"client closed without a word", "sniff", false, ENDING_NO_HELLO},
		{"client reset before its hello", "sniff", false, ENDING_NO_HELLO},
		{"hello timeout", "sniff", false, ENDING_NO_HELLO},
		{"not TLS", "sniff", false, ENDING_NOT_TLS},
		{"the record is too short", "hear_out", false, ENDING_BAD_HELLO},
		{"server name holds a NUL byte", "hear_out", false, ENDING_BAD_HELLO},
		{"ALPN list is empty", "hear_out", false, ENDING_BAD_HELLO},
		{"expected a PROXY header", "proxy_header", false, ENDING_BAD_PREFACE},
		{"no such host", "hear_out", false, ENDING_NO_HOST},
		{"no such host: answered 421", "hear_out", false, ENDING_NO_HOST},
		{"no application protocol of this host", "hear_out", false, ENDING_NO_PROTOCOL},
		{"max_connections of the host reached", "hear_out", false, ENDING_LIMIT},
		{"rate_per_source reached", "admit_source", false, ENDING_LIMIT},
		{"drained", "hear_out", false, ENDING_DRAINED},
		{"handshake: no shared cipher", "hear_out", false, ENDING_HANDSHAKE},
		{"handshake timeout", "secure_client", false, ENDING_HANDSHAKE},
		{"upstream 127.0.0.1:1: connection refused", "hear_out", false, ENDING_DIAL},
		{"upstream: no server left to try", "hear_out", false, ENDING_DIAL},
		{"upstream a:1: handshake: expired", "hear_out", false, ENDING_UPSTREAM_HANDSHAKE},
		{"out of memory", "sniff", false, ENDING_NO_MEMORY},
		{"something new", "take_place", false, ENDING_OTHER},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum ending got = ending_of(cases[i].why, cases[i].step, cases[i].relaying);
		if (got != cases[i].ending)
			fail_msg("\"%s\" at %s is %s", cases[i].why, cases[i].step,
				ending_name(got));
	}
}

static void endings_have_names_of_their_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ENDINGS; i++) {
		assert_non_null(ending_name(i));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(ending_name(i), ending_name(j));
	}
	assert_false(ending_is_refusal(ENDING_DONE));
	assert_true(ending_is_refusal(ENDING_NO_HOST));
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
