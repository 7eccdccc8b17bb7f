/* The tasks of a worker: run in parts, dropped once, added by several threads. */
#include "daemon/worker/task.h"

#include "net/loop_ctx.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ADDERS   4
#define DROPPERS 2
#define EACH     2000

/* The tasks of one test; nothing runs on `wake`. */
struct fixture {
	struct ev_loop *loop;
	struct wakeup wake;
	unsigned woken;
	struct task_queue queue;
};

struct counted_task {
	struct task task; /* first */
	unsigned parts;   /* left to run */
	unsigned runs;
	atomic_uint done;
};

static bool run_part(struct task *task, struct service *service)
{
	struct counted_task *counted = (struct counted_task *)task;
	(void)service;
	counted->runs++;
	return counted->runs >= counted->parts;
}

static void count_done(struct task *task)
{
	atomic_fetch_add(&((struct counted_task *)task)->done, 1);
}

static void on_wake(void *owner)
{
	((struct fixture *)owner)->woken++;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct err err;
	fixture->loop = loop_ctx_loop_create(&err);
	assert_non_null(fixture->loop);
	assert_true(wakeup_open(&fixture->wake, fixture->loop, on_wake, fixture, &err));
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	wakeup_close(&fixture->wake);
	ev_loop_destroy(fixture->loop);
	free(fixture);
	return 0;
}

static void add(struct fixture *fixture, struct counted_task *task)
{
	task->task.run = run_part;
	task->task.done = count_done;
	task_queue_add(&fixture->queue, &task->task, &fixture->wake);
}

static void a_task_runs_one_part_in_a_turn(void **state)
{
	struct fixture *fixture = *state;
	struct counted_task task = {.parts = 3}, other = {.parts = 1};
	add(fixture, &task);
	add(fixture, &other);
	for (unsigned turn = 1; turn <= 3; turn++) {
		task_queue_run(&fixture->queue, NULL);
		assert_int_equal(task.runs, turn);
		assert_int_equal(atomic_load(&task.done), turn == 3);
		assert_int_equal(other.runs, 1);
		assert_int_equal(atomic_load(&other.done), 1);
	}
	task_queue_run(&fixture->queue, NULL);
	assert_int_equal(task.runs, 3);
	assert_int_equal(atomic_load(&task.done), 1);
}

static void adding_a_task_wakes_the_loop(void **state)
{
	struct fixture *fixture = *state;
	struct counted_task task = {.parts = 1};
	ev_run(fixture->loop, EVRUN_NOWAIT);
	assert_int_equal(fixture->woken, 0);
	add(fixture, &task);
	ev_run(fixture->loop, EVRUN_NOWAIT);
	assert_int_equal(fixture->woken, 1);
	task_queue_drop(&fixture->queue);
}

static void a_dropped_task_is_done_and_not_run(void **state)
{
	struct fixture *fixture = *state;
	struct counted_task task = {.parts = 3}, begun = {.parts = 3};
	add(fixture, &begun);
	task_queue_run(&fixture->queue, NULL);
	add(fixture, &task);
	task_queue_drop(&fixture->queue);
	task_queue_drop(&fixture->queue);
	assert_int_equal(task.runs, 0);
	assert_int_equal(atomic_load(&task.done), 1);
	assert_int_equal(begun.runs, 1);
	assert_int_equal(atomic_load(&begun.done), 1);
}

struct adder {
	pthread_t thread;
	struct fixture *fixture;
	struct counted_task *tasks;
};

static void *add_many(void *argument)
{
	struct adder *adder = argument;
	for (unsigned i = 0; i < EACH; i++)
		add(adder->fixture, &adder->tasks[i]);
	return NULL;
}

static void *drop_many(void *argument)
{
	struct fixture *fixture = argument;
	for (unsigned i = 0; i < EACH; i++)
		task_queue_drop(&fixture->queue);
	return NULL;
}

static void start_adders(struct fixture *fixture, struct adder adders[ADDERS])
{
	for (unsigned i = 0; i < ADDERS; i++) {
		adders[i].fixture = fixture;
		adders[i].tasks = calloc(EACH, sizeof *adders[i].tasks);
		for (unsigned at = 0; at < EACH; at++)
			adders[i].tasks[at].parts = 1 + at % 3;
		pthread_create(&adders[i].thread, NULL, add_many, &adders[i]);
	}
}

static void check_adders(struct adder adders[ADDERS], bool were_run)
{
	for (unsigned i = 0; i < ADDERS; i++) {
		for (unsigned at = 0; at < EACH; at++) {
			const struct counted_task *task = &adders[i].tasks[at];
			assert_int_equal(atomic_load(&task->done), 1);
			assert_int_equal(task->runs, were_run ? task->parts : 0);
		}
		free(adders[i].tasks);
	}
}

static void join_adders(struct adder adders[ADDERS])
{
	for (unsigned i = 0; i < ADDERS; i++)
		pthread_join(adders[i].thread, NULL);
}

static void tasks_of_several_threads_are_all_run(void **state)
{
	struct fixture *fixture = *state;
	struct adder adders[ADDERS];
	start_adders(fixture, adders);
	for (unsigned turn = 0; turn < EACH; turn++)
		task_queue_run(&fixture->queue, NULL);
	join_adders(adders);
	for (unsigned turn = 0; turn < 3; turn++)
		task_queue_run(&fixture->queue, NULL);
	check_adders(adders, true);
}

static void each_task_is_dropped_once_by_several_threads(void **state)
{
	struct fixture *fixture = *state;
	struct adder adders[ADDERS];
	pthread_t droppers[DROPPERS];
	start_adders(fixture, adders);
	for (unsigned i = 0; i < DROPPERS; i++)
		pthread_create(&droppers[i], NULL, drop_many, fixture);
	join_adders(adders);
	for (unsigned i = 0; i < DROPPERS; i++)
		pthread_join(droppers[i], NULL);
	task_queue_drop(&fixture->queue);
	check_adders(adders, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_task_runs_one_part_in_a_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(adding_a_task_wakes_the_loop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_dropped_task_is_done_and_not_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			tasks_of_several_threads_are_all_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			each_task_is_dropped_once_by_several_threads, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
