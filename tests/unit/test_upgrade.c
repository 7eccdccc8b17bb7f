/*
 * Upgrades: the old process's side against a launcher that the test plays, and then with the real
 * launcher, which runs this program again: with HANDOVER_VARIABLE it is the new process.
 */
#include "upgrade/upgrade.h"

#include "net/inherited.h"
#include "net/loop_ctx.h"
#include "upgrade/handover.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PID              4711
#define PATIENCE_SECONDS 10.

/* What the new process of a real launch does; it inherits the variable. */
#define ROLE_VARIABLE "TEST_UPGRADE_ROLE"

struct fixture {
	struct ev_loop *loop;
	struct launcher launcher;
	int launcher_end; /* the test's, as the launcher; -1: it is a real one */
	struct upgrade *upgrade;
	struct listener *listener; /* visited; NULL: there is none */
	int channel;               /* the test's, as the new process */
	ev_timer patience;
	pid_t succeeded;
	unsigned failures;
	char error[256];
	char returned[RETURNED_LISTENER_MAX]; /* of the last connection that was returned */
};

static void each_listener(
	void *owner, void (*visit)(void *visitor, struct listener *listener), void *visitor)
{
	struct fixture *fixture = owner;
	if (fixture->listener)
		visit(visitor, fixture->listener);
}

static void on_succeeded(void *owner, pid_t pid)
{
	struct fixture *fixture = owner;
	fixture->succeeded = pid;
	ev_break(fixture->loop, EVBREAK_ALL);
}

static void on_failed(void *owner, const char *error)
{
	struct fixture *fixture = owner;
	fixture->failures++;
	snprintf(fixture->error, sizeof fixture->error, "%s", error);
	ev_break(fixture->loop, EVBREAK_ALL);
}

static void on_returned(void *owner, int fd, const struct returned_from *from)
{
	struct fixture *fixture = owner;
	snprintf(fixture->returned, sizeof fixture->returned, "%s", from->listener);
	close(fd);
}

static void on_patience_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void run(struct fixture *fixture)
{
	ev_timer_init(&fixture->patience, on_patience_over, PATIENCE_SECONDS, 0.);
	ev_timer_start(fixture->loop, &fixture->patience);
	ev_run(fixture->loop, 0);
	ev_timer_stop(fixture->loop, &fixture->patience);
}

static void create(struct fixture *fixture, double timeout_seconds)
{
	struct err err;
	fixture->loop = loop_ctx_loop_create(&err);
	fixture->channel = -1;
	fixture->upgrade = upgrade_create(&(struct upgrade_setup){.loop = fixture->loop,
		.launcher = &fixture->launcher,
		.timeout_seconds = timeout_seconds,
		.each_listener = each_listener,
		.on_succeeded = on_succeeded,
		.on_returned = on_returned,
		.on_failed = on_failed,
		.owner = fixture});
	assert_non_null(fixture->upgrade);
}

static struct fixture played(void)
{
	struct fixture fixture = {0};
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fixture.launcher.fd = pair[0];
	fixture.launcher_end = pair[1];
	return fixture;
}

static void finish(struct fixture *fixture)
{
	upgrade_destroy(fixture->upgrade);
	launcher_finish(&fixture->launcher);
	ev_loop_destroy(fixture->loop);
	if (fixture->launcher_end >= 0)
		close(fixture->launcher_end);
	if (fixture->channel >= 0)
		close(fixture->channel);
}

/* The next order to the launcher: the descriptors that came with it; -1: there is no order. */
static int next_order(const struct fixture *fixture, int fds[LAUNCHER_FDS_MAX])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(LAUNCHER_FDS_MAX * sizeof(int))];
	} control;
	char text[16384];
	struct iovec data = {text, sizeof text};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	if (recvmsg(fixture->launcher_end, &message, MSG_DONTWAIT) <= 0)
		return -1;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	size_t size = header ? header->cmsg_len - CMSG_LEN(0) : 0;
	if (size > 0)
		memcpy(fds, CMSG_DATA(header), size);
	return (int)(size / sizeof(int));
}

static void start(struct fixture *fixture)
{
	struct err err;
	int fds[LAUNCHER_FDS_MAX];
	assert_true(upgrade_start(fixture->upgrade, &err));
	assert_int_equal(next_order(fixture, fds), 1);
	fixture->channel = fds[0];
}

static void launcher_says(const struct fixture *fixture, enum launcher_outcome outcome, int status)
{
	struct launcher_answer answer = {outcome, PID, status};
	assert_int_equal(send(fixture->launcher_end, &answer, sizeof answer, 0), sizeof answer);
}

static void new_process_says(const struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->channel, text, strlen(text), 0), (int)strlen(text));
}

static void assert_succeeded(struct fixture *fixture)
{
	char token[sizeof HANDOVER_TOKEN] = "";
	assert_int_equal(fixture->succeeded, PID);
	assert_int_equal(fixture->failures, 0);
	assert_false(upgrade_is_running(fixture->upgrade));
	assert_int_equal(recv(fixture->channel, token, sizeof token, MSG_DONTWAIT),
		(int)strlen(HANDOVER_TOKEN));
	assert_string_equal(token, HANDOVER_TOKEN);
	/* The channel stays, for what is returned. */
	assert_int_equal(recv(fixture->channel, token, 1, MSG_DONTWAIT), -1);
	const struct returned_from from = {.listener = ":5432"};
	assert_true(returned_send(fixture->channel, STDIN_FILENO, &from));
	ev_run(fixture->loop, EVRUN_ONCE);
	assert_string_equal(fixture->returned, ":5432");
}

static void assert_failed(struct fixture *fixture, const char *error)
{
	assert_int_equal(fixture->succeeded, 0);
	assert_int_equal(fixture->failures, 1);
	assert_string_equal(fixture->error, error);
	assert_false(upgrade_is_running(fixture->upgrade));
}

static void a_new_process_that_is_ready_takes_over(void **state)
{
	struct fixture fixture = played();
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	start(&fixture);
	assert_true(upgrade_is_running(fixture.upgrade));
	launcher_says(&fixture, LAUNCHER_STARTED, 0);
	ev_run(fixture.loop, EVRUN_ONCE);
	assert_int_equal(fixture.succeeded, 0);
	new_process_says(&fixture, HANDOVER_READY);
	run(&fixture);
	assert_succeeded(&fixture);
	finish(&fixture);
}

static void ready_may_come_in_parts_and_before_the_launcher_answers(void **state)
{
	struct fixture fixture = played();
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	start(&fixture);
	for (const char *at = HANDOVER_READY; *at; at++) {
		new_process_says(&fixture, (char[]){*at, '\0'});
		ev_run(fixture.loop, EVRUN_ONCE);
	}
	assert_int_equal(fixture.succeeded, 0);
	launcher_says(&fixture, LAUNCHER_STARTED, 0);
	run(&fixture);
	assert_succeeded(&fixture);
	finish(&fixture);
}

static void a_program_that_cannot_be_run_is_a_failure(void **state)
{
	struct fixture fixture = played();
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	start(&fixture);
	launcher_says(&fixture, LAUNCHER_FAILED, EAGAIN);
	run(&fixture);
	assert_failed(&fixture, strerror(EAGAIN));
	finish(&fixture);
}

static void errors_of_the_new_process_are_one_line(void **state)
{
	struct fixture fixture = played();
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	start(&fixture);
	launcher_says(&fixture, LAUNCHER_STARTED, 0);
	new_process_says(&fixture, "one error\nanother\n");
	close(fixture.channel);
	fixture.channel = -1;
	launcher_says(&fixture, LAUNCHER_ENDED, 1 << 8);
	run(&fixture);
	assert_failed(&fixture, "one error;another");
	finish(&fixture);
}

static void a_silent_end_has_its_status(void **state)
{
	static const struct {
		int status;
		const char *error;
	} ends[] = {{3 << 8, "it ended with status 3"}, {SIGKILL, "it was ended by signal 9"}};
	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct fixture fixture = played();
		create(&fixture, PATIENCE_SECONDS);
		start(&fixture);
		launcher_says(&fixture, LAUNCHER_STARTED, 0);
		launcher_says(&fixture, LAUNCHER_ENDED, ends[i].status);
		run(&fixture);
		assert_failed(&fixture, ends[i].error);
		finish(&fixture);
	}
}

static void one_that_hangs_is_ended(void **state)
{
	struct fixture fixture = played();
	int fds[LAUNCHER_FDS_MAX];
	(void)state;
	create(&fixture, 0.05);
	start(&fixture);
	launcher_says(&fixture, LAUNCHER_STARTED, 0);
	run(&fixture);
	assert_failed(&fixture, "it was not ready in time, and is ended");
	assert_int_equal(next_order(&fixture, fds), 0); /* to kill it */
	finish(&fixture);
}

static void without_its_launcher_nothing_starts(void **state)
{
	struct fixture fixture = played();
	struct err err;
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	start(&fixture);
	close(fixture.launcher_end);
	fixture.launcher_end = -1;
	run(&fixture);
	assert_failed(&fixture, "the launcher has ended");
	assert_false(upgrade_start(fixture.upgrade, &err));
	assert_string_equal(err.text, "there is no launcher: its process has ended");
	finish(&fixture);
}

static void there_is_one_at_a_time(void **state)
{
	struct fixture fixture = played();
	struct err err;
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	start(&fixture);
	assert_false(upgrade_start(fixture.upgrade, &err));
	assert_string_equal(err.text, "one is under way");
	assert_int_equal(fixture.failures, 0);
	launcher_says(&fixture, LAUNCHER_FAILED, EAGAIN);
	run(&fixture);
	close(fixture.channel);
	start(&fixture); /* and after a failure another one may */
	finish(&fixture);
}

static void one_that_is_cancelled_is_ended(void **state)
{
	struct fixture fixture = played();
	int fds[LAUNCHER_FDS_MAX];
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	upgrade_cancel(fixture.upgrade, "not running");
	assert_int_equal(fixture.failures, 0);
	start(&fixture);
	upgrade_cancel(fixture.upgrade, "the process ends");
	assert_failed(&fixture, "the process ends");
	assert_int_equal(next_order(&fixture, fds), 0);
	launcher_says(&fixture, LAUNCHER_ENDED, SIGKILL); /* which is of no interest any more */
	ev_run(fixture.loop, EVRUN_ONCE);
	assert_int_equal(fixture.failures, 1);
	finish(&fixture);
}

static void sockets_are_passed_and_their_files_left(void **state)
{
	struct fixture fixture = played();
	int fds[LAUNCHER_FDS_MAX], sockets[2];
	struct listener listener = {.fds = sockets, .count = 2, .workers = 2};
	struct err err;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	fixture.listener = &listener;
	create(&fixture, PATIENCE_SECONDS);
	assert_true(upgrade_start(fixture.upgrade, &err));
	assert_int_equal(next_order(&fixture, fds), 2);
	assert_int_equal(write(fds[0], "x", 1), 1);
	assert_int_equal(read(sockets[1], &(char){0}, 1), 1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(next_order(&fixture, fds), 1);
	fixture.channel = fds[0];
	listener.unlink_path = strdup("/nowhere");
	launcher_says(&fixture, LAUNCHER_STARTED, 0);
	new_process_says(&fixture, HANDOVER_READY);
	run(&fixture);
	assert_succeeded(&fixture);
	assert_null(listener.unlink_path);
	finish(&fixture);
	close(sockets[0]);
	close(sockets[1]);
}

/* With the real launcher. */

static struct fixture launched(const char *role)
{
	struct fixture fixture = {.launcher_end = -1};
	setenv(ROLE_VARIABLE, role, 1);
	launcher_fork(&fixture.launcher);
	unsetenv(ROLE_VARIABLE);
	assert_true(fixture.launcher.fd >= 0);
	return fixture;
}

static void a_real_process_takes_over(void **state)
{
	struct fixture fixture = launched("ready");
	int sockets[2];
	struct listener listener = {.fds = sockets, .count = 2, .workers = 2};
	struct err err;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	fixture.listener = &listener;
	create(&fixture, PATIENCE_SECONDS);
	assert_true(upgrade_start(fixture.upgrade, &err));
	run(&fixture);
	assert_string_equal(fixture.error, "");
	assert_true(fixture.succeeded > 0);
	finish(&fixture);
	close(sockets[0]);
	close(sockets[1]);
}

static void a_real_process_fails_and_says_why(void **state)
{
	struct fixture fixture = launched("fail");
	struct err err;
	(void)state;
	create(&fixture, PATIENCE_SECONDS);
	assert_true(upgrade_start(fixture.upgrade, &err));
	run(&fixture);
	assert_failed(&fixture, "no such configuration");
	finish(&fixture);
}

static void on_released(void *owner)
{
	ev_break(owner, EVBREAK_ALL);
}

static bool was_abandoned;

static void on_abandoned(void *owner)
{
	was_abandoned = true;
	ev_break(owner, EVBREAK_ALL);
}

static void on_gone(void *owner)
{
	ev_break(owner, EVBREAK_ALL);
}

/* What the new process makes of a channel that says this and ends. */
static bool is_abandoned_after(const char *text)
{
	struct handover handover = {0};
	int pair[2];
	struct err err;
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	handover.fd = pair[0];
	assert_false(handover_is_abandoned(&handover));
	was_abandoned = false;
	const struct handover_events events = {on_released, on_abandoned, on_gone, loop};
	handover_ready(&handover, loop, &events);
	assert_int_equal(write(pair[1], text, strlen(text)), (int)strlen(text));
	close(pair[1]);
	ev_run(loop, 0);
	if (!was_abandoned) {
		assert_false(handover_is_awaited(&handover));
		ev_run(loop, 0); /* the old process drains, and ends */
	}
	assert_int_equal(handover.fd, -1);
	ev_loop_destroy(loop);
	return was_abandoned;
}

/* What the new process returns while the old one drains: a descriptor, and where it came in. */
static void connections_are_returned(void **state)
{
	const struct returned_from one = {
		.listener = "127.0.0.1:5432", .source.any.sa_family = AF_INET6};
	const struct returned_from other = {.listener = ":5433"};
	struct returned_from from;
	char byte = 'x';
	int channel[2], connection[2], fd = -1;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, connection), 0);
	assert_int_equal(returned_receive(channel[0], &fd, &from), RETURNED_NONE);
	assert_true(returned_send(channel[1], connection[1], &one));
	assert_true(returned_send(channel[1], connection[0], &other));
	close(connection[1]);
	assert_int_equal(returned_receive(channel[0], &fd, &from), RETURNED_ONE);
	assert_string_equal(from.listener, "127.0.0.1:5432");
	assert_int_equal(from.source.any.sa_family, AF_INET6);
	assert_int_equal(write(fd, &byte, 1), 1);
	byte = 0;
	assert_int_equal(read(connection[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	assert_int_equal(returned_receive(channel[0], &fd, &from), RETURNED_ONE);
	assert_string_equal(from.listener, ":5433");
	close(fd);
	close(connection[0]);
	assert_int_equal(write(channel[1], "short", 5), 5); /* no such message */
	assert_int_equal(returned_receive(channel[0], &fd, &from), RETURNED_END);
	close(channel[1]);
	assert_int_equal(returned_receive(channel[0], &fd, &from), RETURNED_END);
	close(channel[0]);
}

static void only_the_token_hands_over(void **state)
{
	(void)state;
	assert_false(is_abandoned_after(HANDOVER_TOKEN));
	assert_true(is_abandoned_after(""));
	assert_true(is_abandoned_after("you"));
	assert_true(is_abandoned_after(HANDOVER_READY));
}

static void the_end_of_the_channel_before_the_start_shows(void **state)
{
	struct handover handover = {0};
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	handover.fd = pair[0];
	close(pair[1]);
	assert_true(handover_is_abandoned(&handover));
	close(pair[0]);
	handover.fd = -1;
	assert_false(handover_is_abandoned(&handover));
}

/* The new process. Without the two sockets it fails, when it should be ready. */
static int be_new_process(const char *role)
{
	struct handover handover;
	struct err err;
	const char *passed = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	bool has_sockets = passed && names && strcmp(passed, "2") == 0 &&
		strcmp(names, INHERITED_OWN ":" INHERITED_OWN) == 0;
	handover_init(&handover);
	if (!handover_is_awaited(&handover) || getenv(HANDOVER_VARIABLE))
		return 1;
	if (strcmp(role, "ready") != 0 || !has_sockets) {
		handover_failed(&handover,
			strcmp(role, "fail") == 0 ? "no such configuration" : "no sockets");
		return 1;
	}
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	const struct handover_events events = {on_released, on_abandoned, on_gone, loop};
	handover_ready(&handover, loop, &events);
	ev_run(loop, 0);
	ev_loop_destroy(loop);
	return 0;
}

int main(void)
{
	const char *role = getenv(ROLE_VARIABLE);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_process_that_is_ready_takes_over),
		cmocka_unit_test(ready_may_come_in_parts_and_before_the_launcher_answers),
		cmocka_unit_test(a_program_that_cannot_be_run_is_a_failure),
		cmocka_unit_test(errors_of_the_new_process_are_one_line),
		cmocka_unit_test(a_silent_end_has_its_status),
		cmocka_unit_test(one_that_hangs_is_ended),
		cmocka_unit_test(without_its_launcher_nothing_starts),
		cmocka_unit_test(there_is_one_at_a_time),
		cmocka_unit_test(one_that_is_cancelled_is_ended),
		cmocka_unit_test(sockets_are_passed_and_their_files_left),
		cmocka_unit_test(a_real_process_takes_over),
		cmocka_unit_test(a_real_process_fails_and_says_why),
		cmocka_unit_test(connections_are_returned),
		cmocka_unit_test(only_the_token_hands_over),
		cmocka_unit_test(the_end_of_the_channel_before_the_start_shows),
	};
	signal(SIGPIPE, SIG_IGN);
	if (role)
		return be_new_process(role);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
