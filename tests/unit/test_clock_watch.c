/* The watch on the wall clock. A test cannot set the clock: another descriptor stands for the timer. */
#include "daemon/clock_watch.h"

#include "net/loop_ctx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static void count_step(void *owner)
{
	++*(unsigned *)owner;
}

static void each_step_is_reported_once(void **state)
{
	struct err err;
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	unsigned steps = 0;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct clock_watch *watch = clock_watch_create(loop, fd, count_step, &steps);
	(void)state;
	assert_non_null(watch);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(steps, 0);
	for (unsigned step = 1; step <= 3; step++) {
		assert_int_equal(write(fd, &(uint64_t){1}, 8), 8);
		ev_run(loop, EVRUN_NOWAIT);
		ev_run(loop, EVRUN_NOWAIT);
		assert_int_equal(steps, step);
	}
	clock_watch_destroy(watch);
	ev_loop_destroy(loop);
}

static void the_timer_waits_for_a_step(void **state)
{
	struct err err;
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	unsigned steps = 0;
	uint64_t expirations;
	int fd = clock_watch_open(&err);
	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &expirations, sizeof expirations), -1);
	struct clock_watch *watch = clock_watch_create(loop, fd, count_step, &steps);
	assert_non_null(watch);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(steps, 0);
	clock_watch_destroy(watch);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_is_reported_once),
		cmocka_unit_test(the_timer_waits_for_a_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
