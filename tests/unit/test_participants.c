/* The engine of a reload: who prepares, commits and rolls back, in what order, and who hears of it. */
#include "daemon/participant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What was called, in order: "p1 p2 r1". */
static char calls[256];

struct member {
	char name;
	bool fails;
};

static void note(const struct member *member, char what)
{
	size_t used = strlen(calls);
	snprintf(calls + used, sizeof calls - used, "%s%c%c", used ? " " : "", what, member->name);
}

static bool prepare(void *owner, const struct config *next, struct report *report)
{
	const struct member *member = owner;
	(void)next;
	note(member, 'p');
	if (member->fails)
		report_error(report, "%c cannot", member->name);
	return !member->fails;
}

static void commit(void *owner, const struct reload_event *event)
{
	(void)event;
	note(owner, 'c');
}

static void rollback(void *owner)
{
	note(owner, 'r');
}

static void each_listener(void *owner, listener_visit_fn *visit, void *visitor)
{
	(void)visit, (void)visitor;
	note(owner, 'l');
}

static bool needs_counters(const void *owner, const struct config *config)
{
	(void)config;
	return ((const struct member *)owner)->fails;
}

static void on_reloaded(void *owner, const struct reload_event *event)
{
	(void)event;
	note(owner, 'd');
}

static void on_unchanged(void *owner, uint64_t took_us)
{
	(void)took_us;
	note(owner, 'u');
}

static void on_refused(void *owner, const struct findings *findings, unsigned retry_seconds)
{
	(void)findings;
	assert_int_equal(retry_seconds, 4);
	note(owner, 'f');
}

static void on_upgraded(void *owner, pid_t pid)
{
	assert_int_equal(pid, 17);
	note(owner, 'n');
}

static void on_upgrade_failed(void *owner, const char *error)
{
	assert_string_equal(error, "why");
	note(owner, 'o');
}

static void on_stopping(void *owner)
{
	note(owner, 's');
}

static void add_whole(struct participants *participants, struct member *member)
{
	const struct participant whole = {.name = "whole",
		.owner = member,
		.prepare = prepare,
		.commit = commit,
		.rollback = rollback,
		.each_listener = each_listener,
		.needs_counters = needs_counters,
		.on_reloaded = on_reloaded,
		.on_reload_unchanged = on_unchanged,
		.on_reload_refused = on_refused,
		.on_upgraded = on_upgraded,
		.on_upgrade_failed = on_upgrade_failed,
		.on_stopping = on_stopping};
	assert_true(participants_add(participants, &whole));
}

/* One that has no part in anything. */
static void add_empty(struct participants *participants)
{
	assert_true(participants_add(participants, &(struct participant){.name = "empty"}));
}

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	(void)report, (void)severity, (void)text;
}

/* 1, an empty one, 2, 3, of which those fail that are set. */
static bool prepare_three(
	struct participants *participants, struct member members[3], struct report *report)
{
	calls[0] = '\0';
	add_whole(participants, &members[0]);
	add_empty(participants);
	add_whole(participants, &members[1]);
	add_whole(participants, &members[2]);
	return participants_prepare(participants, NULL, report);
}

static void all_prepare_then_all_commit_in_order(void **state)
{
	struct participants participants = {0};
	struct member members[] = {{'1', false}, {'2', false}, {'3', false}};
	struct report report = {.on_finding = on_finding};
	(void)state;
	assert_true(prepare_three(&participants, members, &report));
	participants_commit(&participants, &(struct reload_event){0});
	assert_string_equal(calls, "p1 p2 p3 c1 c2 c3");
	assert_int_equal(report.errors, 0);
}

static void after_a_failure_the_rest_prepares_and_rolls_back_in_reverse(void **state)
{
	struct participants participants = {0};
	struct member members[] = {{'1', false}, {'2', true}, {'3', false}};
	struct report report = {.on_finding = on_finding};
	(void)state;
	assert_false(prepare_three(&participants, members, &report));
	assert_string_equal(calls, "p1 p2 p3 r3 r1");
	assert_int_equal(report.errors, 1);
}

static void every_error_is_reported(void **state)
{
	struct participants participants = {0};
	struct member members[] = {{'1', true}, {'2', false}, {'3', true}};
	struct report report = {.on_finding = on_finding};
	(void)state;
	assert_false(prepare_three(&participants, members, &report));
	assert_string_equal(calls, "p1 p2 p3 r2");
	assert_int_equal(report.errors, 2);
}

static void without_prepare_one_commits_and_rolls_back_all_the_same(void **state)
{
	struct participants participants = {0};
	struct member first = {'1', false}, failing = {'2', true};
	struct report report = {.on_finding = on_finding};
	(void)state;
	calls[0] = '\0';
	assert_true(participants_add(&participants,
		&(struct participant){.owner = &first, .commit = commit, .rollback = rollback}));
	add_whole(&participants, &failing);
	assert_false(participants_prepare(&participants, NULL, &report));
	assert_string_equal(calls, "p2 r1");
}

static void notifications_reach_all_that_have_the_member(void **state)
{
	struct participants participants = {0};
	struct member members[] = {{'1', false}, {'2', false}, {'3', false}};
	struct report report = {.on_finding = on_finding};
	(void)state;
	assert_true(prepare_three(&participants, members, &report));
	calls[0] = '\0';
	participants_reloaded(&participants, &(struct reload_event){0});
	participants_reload_unchanged(&participants, 1);
	participants_reload_refused(&participants, &(struct findings){0}, 4);
	participants_upgraded(&participants, 17);
	participants_upgrade_failed(&participants, "why");
	participants_stopping(&participants);
	participants_each_listener(&participants, NULL, NULL);
	assert_string_equal(
		calls, "d1 d2 d3 u1 u2 u3 f1 f2 f3 n1 n2 n3 o1 o2 o3 s1 s2 s3 l1 l2 l3");
}

static void one_that_shows_the_counters_is_enough(void **state)
{
	struct participants participants = {0};
	struct member silent = {'1', false}, showing = {'2', true};
	(void)state;
	add_empty(&participants);
	add_whole(&participants, &silent);
	assert_false(participants_need_counters(&participants, NULL));
	add_whole(&participants, &showing);
	assert_true(participants_need_counters(&participants, NULL));
}

static void the_table_ends(void **state)
{
	struct participants participants = {0};
	(void)state;
	for (unsigned i = 0; i < PARTICIPANTS_MAX; i++)
		add_empty(&participants);
	assert_false(participants_add(&participants, &(struct participant){.name = "more"}));
	assert_int_equal(participants.count, PARTICIPANTS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_prepare_then_all_commit_in_order),
		cmocka_unit_test(after_a_failure_the_rest_prepares_and_rolls_back_in_reverse),
		cmocka_unit_test(every_error_is_reported),
		cmocka_unit_test(without_prepare_one_commits_and_rolls_back_all_the_same),
		cmocka_unit_test(notifications_reach_all_that_have_the_member),
		cmocka_unit_test(one_that_shows_the_counters_is_enough),
		cmocka_unit_test(the_table_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
