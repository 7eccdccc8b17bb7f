/* When a refused reload is tried again: what passes, and after how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/load/reload_retry.h"
#include "daemon/participant.h"

static void on_due(void *owner)
{
	unsigned *count = owner;
	(*count)++;
}

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	(void)report, (void)severity, (void)text;
}

static bool fails_for_want_of_memory(void *owner, const struct config *next, struct report *report)
{
	(void)owner, (void)next;
	report_no_memory(report, "a participant");
	return false;
}

static bool fails_for_an_error(void *owner, const struct config *next, struct report *report)
{
	struct err err;
	(void)next;
	err_set_errno(&err, *(const int *)owner, "cannot open it");
	report_error(report, "%s", err.text);
	report_cause(report, &err);
	return false;
}

static void what_passes_is_told_by_its_cause(void **state)
{
	static const struct {
		int error;
		bool is_passing;
	} cases[] = {{EMFILE, true}, {ENFILE, true}, {ENOMEM, true}, {EAGAIN, true}, {EIO, true},
		{EADDRINUSE, true}, {EACCES, false}, {ENOENT, false}, {EINVAL, false}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct participants participants = {0};
		struct report report = {.on_finding = on_finding};
		int error = cases[i].error;
		participants_add(&participants,
			&(struct participant){.owner = &error, .prepare = fails_for_an_error});
		assert_false(participants_prepare(&participants, NULL, &report));
		assert_int_equal(report_is_passing(&report), cases[i].is_passing);
	}
}

/* What lasts beside what passes: trying again would find it again. */
static void one_lasting_error_is_enough(void **state)
{
	struct participants participants = {0};
	struct report report = {.on_finding = on_finding};
	int error = EACCES;
	(void)state;
	assert_false(report_is_passing(&report));
	participants_add(&participants, &(struct participant){.prepare = fails_for_want_of_memory});
	assert_false(participants_prepare(&participants, NULL, &report));
	assert_true(report_is_passing(&report));
	participants_add(&participants,
		&(struct participant){.owner = &error, .prepare = fails_for_an_error});
	report = (struct report){.on_finding = on_finding};
	assert_false(participants_prepare(&participants, NULL, &report));
	assert_false(report_is_passing(&report));
}

static void a_prefix_leaves_the_cause(void **state)
{
	struct err err;
	(void)state;
	err_no_memory(&err);
	err_prefix(&err, "file: ");
	assert_string_equal(err.text, "file: out of memory");
	assert_true(err.is_passing);
	err_set(&err, "another");
	assert_false(err.is_passing);
}

static void it_waits_longer_each_time(void **state)
{
	static const unsigned expected[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct reload_retry retry;
	unsigned count = 0;
	(void)state;
	reload_retry_init(&retry, loop, on_due, &count);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		assert_int_equal(reload_retry_plan(&retry, true), expected[i]);
		assert_true(reload_retry_is_under_way(&retry));
	}
	assert_int_equal(reload_retry_plan(&retry, false), 0);
	assert_false(reload_retry_is_under_way(&retry));
	assert_int_equal(reload_retry_plan(&retry, true), 1);
	reload_retry_cancel(&retry);
	assert_int_equal(reload_retry_plan(&retry, true), 1);
	reload_retry_cancel(&retry);
	ev_run(loop, 0); /* nothing is left to wait for */
	assert_int_equal(count, 0);
	ev_loop_destroy(loop);
}

static void then_it_is_due_once(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct reload_retry retry;
	unsigned count = 0;
	(void)state;
	reload_retry_init(&retry, loop, on_due, &count);
	uint64_t before_us = clock_now_us();
	assert_int_equal(reload_retry_plan(&retry, true), 1);
	ev_run(loop, 0);
	assert_int_equal(count, 1);
	assert_true(clock_now_us() - before_us > 900000);
	assert_true(reload_retry_is_under_way(&retry));
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_passes_is_told_by_its_cause),
		cmocka_unit_test(one_lasting_error_is_enough),
		cmocka_unit_test(a_prefix_leaves_the_cause),
		cmocka_unit_test(it_waits_longer_each_time),
		cmocka_unit_test(then_it_is_due_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
