/* The command of `run`, and how its end is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/run_command.h"
#include "failing_epoll.h"

#define PATIENCE_SECONDS 5.

extern char **environ;

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void an_end_is_noticed_whatever_epoll_refuses(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	struct run_command command;
	struct err err;
	ev_timer late;
	(void)state;
	assert_true(run_command_prepare(&command, loop, &err));
	atomic_store(&epoll_failures, 2);
	assert_true(
		run_command_start(&command, (char *[]){"sh", "-c", "exit 7", NULL}, environ, &err));
	ev_timer_init(&late, on_late, PATIENCE_SECONDS, 0.);
	ev_timer_start(loop, &late);
	ev_run(loop, 0);
	assert_int_equal(atomic_exchange(&epoll_failures, 0), 0);
	assert_true(ev_is_active(&late));
	ev_timer_stop(loop, &late);
	assert_int_equal(command.pid, 0);
	assert_int_equal(command.status, 7);
	run_command_finish(&command);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_noticed_whatever_epoll_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
