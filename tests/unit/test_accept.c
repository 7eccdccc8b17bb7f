/* A listening socket without descriptors for what waits on it: the loop rests, and then goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/accept.h"

struct bench {
	struct ev_loop *loop;
	struct accept_watch watch;
	int listener, client, accepted, error;
	unsigned calls, reports;
};

static void on_ready(void *owner)
{
	struct bench *bench = owner;
	bench->calls++;
	bench->accepted = accept4(bench->listener, NULL, NULL, SOCK_NONBLOCK);
	bench->error = errno;
	if (bench->accepted < 0)
		bench->reports += accept_watch_failed(&bench->watch, bench->error);
	else
		ev_break(bench->loop, EVBREAK_ALL);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void run_for(struct bench *bench, double seconds)
{
	ev_timer timer;
	ev_timer_init(&timer, on_timer, seconds, 0.);
	ev_now_update(bench->loop);
	ev_timer_start(bench->loop, &timer);
	ev_run(bench->loop, 0);
	ev_timer_stop(bench->loop, &timer);
}

static void bench_open(struct bench *bench)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sa_family_t);
	*bench = (struct bench){.loop = ev_loop_new(EVBACKEND_EPOLL), .accepted = -1};
	bench->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	bench->client = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_return_code(bind(bench->listener, (struct sockaddr *)&address, len), errno);
	assert_return_code(listen(bench->listener, 8), errno);
	len = sizeof address;
	getsockname(bench->listener, (struct sockaddr *)&address, &len);
	assert_return_code(connect(bench->client, (struct sockaddr *)&address, len), errno);
	accept_watch_init(&bench->watch, bench->loop, bench->listener, on_ready, bench);
	accept_watch_start(&bench->watch);
}

static void bench_close(struct bench *bench)
{
	accept_watch_stop(&bench->watch);
	close(bench->listener);
	close(bench->client);
	ev_loop_destroy(bench->loop);
}

static void set_descriptors(rlim_t count)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = count;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
}

static void test_it_pauses_without_descriptors(void **state)
{
	struct bench bench;
	struct rlimit before;
	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	bench_open(&bench);
	run_for(&bench, 0.001); /* libev opens what it needs */
	if (bench.accepted >= 0) {
		close(bench.accepted);
		bench_close(&bench);
		bench_open(&bench);
	}
	set_descriptors(0);
	bench.calls = 0;
	run_for(&bench, 0.5);
	assert_int_equal(bench.accepted, -1);
	assert_int_equal(bench.error, EMFILE);
	assert_in_range(bench.calls, 1, 6); /* and not some hundred thousand */
	assert_int_equal(bench.reports, 1);
	set_descriptors(before.rlim_cur);
	run_for(&bench, 5.);
	assert_true(bench.accepted >= 0);
	close(bench.accepted);
	bench_close(&bench);
}

static void test_an_error_of_epoll_is_no_end(void **state)
{
	struct bench bench;
	(void)state;
	bench_open(&bench);
	ev_io_stop(bench.loop, &bench.watch.io.io);
	ev_feed_event(bench.loop, &bench.watch.io.io, EV_ERROR | EV_READ);
	run_for(&bench, 5.);
	assert_true(bench.accepted >= 0);
	assert_int_equal(bench.calls, 1);
	close(bench.accepted);
	bench_close(&bench);
}

static void test_failures_have_their_kinds(void **state)
{
	(void)state;
	assert_int_equal(accept_failure_of(EAGAIN), ACCEPT_EMPTY);
	assert_int_equal(accept_failure_of(ECONNABORTED), ACCEPT_GONE);
	assert_int_equal(accept_failure_of(EINTR), ACCEPT_GONE);
	assert_int_equal(accept_failure_of(EMFILE), ACCEPT_STARVED);
	assert_int_equal(accept_failure_of(ENOBUFS), ACCEPT_STARVED);
	assert_int_equal(accept_failure_of(EINVAL), ACCEPT_SHUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_pauses_without_descriptors),
		cmocka_unit_test(test_an_error_of_epoll_is_no_end),
		cmocka_unit_test(test_failures_have_their_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
