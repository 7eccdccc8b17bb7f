/* The control socket, with a client of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control/control.h"
#include "failing_epoll.h"

#define PATIENCE_SECONDS 5. /* less than a call may take */

struct bench {
	struct ev_loop *loop;
	struct control *control;
	unsigned requests;
};

static void on_request(void *owner, struct control_call *call, const char *line, size_t len)
{
	struct bench *bench = owner;
	struct strbuf answer = {0};
	(void)len;
	bench->requests++;
	assert_string_equal(line, "question");
	strbuf_printf(&answer, "answer\n");
	control_answer(call, &answer);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)timer, (void)events;
}

static int connect_client(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof address), errno);
	assert_int_equal(write(fd, "question\n", 9), 9);
	return fd;
}

static void a_call_that_is_not_watched_is_answered(void **state)
{
	struct bench bench = {.loop = ev_loop_new(EVBACKEND_EPOLL)};
	struct err err;
	char path[64], answer[16] = "";
	ev_timer late;
	(void)state;
	snprintf(path, sizeof path, "/tmp/test_control.%d", getpid());
	bench.control = control_open(bench.loop, path, NULL, &err);
	assert_non_null(bench.control);
	control_start(bench.control, on_request, &bench);
	ev_run(bench.loop, EVRUN_NOWAIT); /* the listener is watched */
	int fd = connect_client(path);
	atomic_store(&epoll_failures, 2);
	ev_timer_init(&late, on_late, PATIENCE_SECONDS, 0.);
	ev_timer_start(bench.loop, &late);
	while (bench.requests == 0 && ev_is_active(&late))
		ev_run(bench.loop, EVRUN_ONCE);
	assert_int_equal(atomic_exchange(&epoll_failures, 0), 0);
	assert_int_equal(bench.requests, 1);
	assert_int_equal(read(fd, answer, sizeof answer - 1), 7);
	assert_string_equal(answer, "answer\n");
	close(fd);
	ev_timer_stop(bench.loop, &late);
	control_close(bench.control, true);
	ev_loop_destroy(bench.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_is_not_watched_is_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
