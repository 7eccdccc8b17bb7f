/* Why a connection ended, by the words of the log; histograms; the newest refusals. */
#include "stats/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void end_reasons_have_names_of_their_own(void **state)
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
		cmocka_unit_test(end_reasons_have_names_of_their_own),
		cmocka_unit_test(a_histogram_counts_up_to_its_bounds),
		cmocka_unit_test(the_newest_refusals_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
