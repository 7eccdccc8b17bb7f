/*
 * A worker with real sockets: what it accepts and when it pauses, whom it takes for a proxy, and the
 * orders that it is given. Sessions are seen from outside, by what their clients get.
 */
#include "daemon/worker/worker.h"

#include "failing_epoll.h"
#include "loaded_routes.h"
#include "route/routes_stats.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000
#define PROXY_LINE  "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"

struct fixture {
	struct route_loader loader;
	struct limits limits;
	struct ev_loop *loop; /* the main one's */
	struct wakeup on_ended;
	struct worker *worker;
	struct routes *routes; /* of the last order */
	struct listener *listener;
	struct sockaddr_in address; /* of the listener */
	char text[32];              /* and as the configuration has it */
};

static void on_ended(void *owner)
{
	(void)owner;
}

/* A port that is free now. */
static void choose_address(struct fixture *fixture)
{
	socklen_t len = sizeof fixture->address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fixture->address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)&fixture->address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&fixture->address, &len), 0);
	close(fd);
	snprintf(fixture->text, sizeof fixture->text, "127.0.0.1:%u",
		ntohs(fixture->address.sin_port));
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct err err;
	route_loader_init(&fixture->loader);
	fixture->limits.connections_max = 1000;
	fixture->limits.pipes_max = 10;
	fixture->limits.sources = sources_create();
	fixture->limits.route_stats = route_stats_table_create();
	fixture->loop = loop_ctx_loop_create(&err);
	assert_true(wakeup_open(&fixture->on_ended, fixture->loop, on_ended, NULL, &err));
	choose_address(fixture);
	fixture->listener = listener_open(fixture->text, 1, &err);
	fixture->worker = worker_create(0, &fixture->limits, &fixture->on_ended, &err);
	*state = fixture;
	return fixture->listener && fixture->worker && worker_start(fixture->worker, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	worker_set_mode(fixture->worker, WORKER_STOP);
	worker_destroy(fixture->worker);
	assert_int_equal(atomic_load(&fixture->limits.connections), 0);
	listener_close(fixture->listener);
	routes_unref(fixture->routes);
	sources_destroy(fixture->limits.sources);
	route_stats_table_destroy(fixture->limits.route_stats);
	route_loader_finish(&fixture->loader);
	wakeup_close(&fixture->on_ended);
	ev_loop_destroy(fixture->loop);
	free(fixture);
	return 0;
}

static bool is_soon(bool (*is_so)(struct fixture *fixture, unsigned number),
	struct fixture *fixture, unsigned number)
{
	for (unsigned ms = 0; ms < PATIENCE_MS; ms += 2) {
		if (is_so(fixture, number))
			return true;
		usleep(2000);
	}
	return false;
}

static bool is_settled(struct fixture *fixture, unsigned number)
{
	(void)number;
	return worker_is_settled(fixture->worker);
}

static bool has_ended(struct fixture *fixture, unsigned number)
{
	(void)number;
	return worker_has_ended(fixture->worker);
}

static bool has_sessions(struct fixture *fixture, unsigned number)
{
	return worker_sessions(fixture->worker) == number;
}

/* `proxy`: the networks of "accept_proxy", `more`: members; either may be "". */
static void order(struct fixture *fixture, const char *proxy, const char *more)
{
	char text[512];
	struct worker_order *order = worker_order_create(1);
	snprintf(text, sizeof text,
		"{\"listen\": [{\"address\": \"%s\"%s%s}], \"hosts\": {\"a.test\": "
		"{\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"}}%s}",
		fixture->text, *proxy ? ", \"accept_proxy\": " : "", proxy, more);
	struct routes *routes = route_loader_load(&fixture->loader, text);
	assert_non_null(routes);
	routes_stats_follow(fixture->limits.route_stats, routes);
	order->routes = routes_ref(routes);
	order->listeners[order->listener_count++] = fixture->listener;
	worker_follow(fixture->worker, order);
	assert_true(is_soon(is_settled, fixture, 0));
	routes_unref(fixture->routes);
	fixture->routes = routes;
}

static int connect_client(const struct fixture *fixture)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		connect(fd, (const struct sockaddr *)&fixture->address, sizeof fixture->address),
		0);
	return fd;
}

static bool is_closed(int fd, int timeout_ms)
{
	char bytes[64];
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	while (poll(&polled, 1, timeout_ms) == 1) {
		ssize_t n = recv(fd, bytes, sizeof bytes, 0);
		if (n <= 0)
			return true;
	}
	return false;
}

static void connections_are_accepted_and_counted(void **state)
{
	struct fixture *fixture = *state;
	order(fixture, "", "");
	int first = connect_client(fixture), second = connect_client(fixture);
	assert_true(is_soon(has_sessions, fixture, 2));
	assert_int_equal(atomic_load(&fixture->limits.connections), 2);
	close(first);
	assert_true(is_soon(has_sessions, fixture, 1));
	close(second);
	assert_true(is_soon(has_sessions, fixture, 0));
}

static void at_max_connections_it_pauses_and_resumes(void **state)
{
	struct fixture *fixture = *state;
	int fds[5];
	order(fixture, "", ", \"proxy\": {\"max_connections\": 2}");
	for (unsigned i = 0; i < 5; i++)
		fds[i] = connect_client(fixture);
	assert_true(is_soon(has_sessions, fixture, 2));
	usleep(250000); /* more than two tries */
	assert_int_equal(worker_sessions(fixture->worker), 2);
	for (unsigned i = 0; i < 5; i++) {
		close(fds[i]);
		assert_true(is_soon(has_sessions, fixture, i < 3 ? 2 : 4 - i));
	}
}

static void out_of_descriptors_it_pauses_as_well(void **state)
{
	struct fixture *fixture = *state;
	fixture->limits.connections_max = 1;
	order(fixture, "", "");
	int first = connect_client(fixture), second = connect_client(fixture);
	assert_true(is_soon(has_sessions, fixture, 1));
	usleep(150000);
	assert_int_equal(worker_sessions(fixture->worker), 1);
	close(first);
	close(second);
	assert_true(is_soon(has_sessions, fixture, 0));
}

static void a_raised_limit_needs_no_end_of_a_session(void **state)
{
	struct fixture *fixture = *state;
	order(fixture, "", ", \"proxy\": {\"max_connections\": 1}");
	int first = connect_client(fixture), second = connect_client(fixture);
	assert_true(is_soon(has_sessions, fixture, 1));
	order(fixture, "", ", \"proxy\": {\"max_connections\": 2}");
	assert_true(is_soon(has_sessions, fixture, 2));
	close(first);
	close(second);
	assert_true(is_soon(has_sessions, fixture, 0));
}

/* Whom the listener takes for a proxy may send the header; for others it is no TLS. */
static bool takes_proxy_header(struct fixture *fixture, const char *networks)
{
	order(fixture, networks, "");
	int fd = connect_client(fixture);
	assert_int_equal(send(fd, PROXY_LINE, strlen(PROXY_LINE), 0), (int)strlen(PROXY_LINE));
	bool closed = is_closed(fd, 300);
	close(fd);
	assert_true(is_soon(has_sessions, fixture, 0));
	return !closed;
}

static void the_source_decides_who_is_a_proxy(void **state)
{
	struct fixture *fixture = *state;
	assert_true(takes_proxy_header(fixture, "[\"127.0.0.0/8\"]"));
	assert_true(takes_proxy_header(fixture, "[\"::1\", \"127.0.0.1\"]"));
	assert_true(takes_proxy_header(fixture, "[\"::ffff:127.0.0.0/104\"]"));
	assert_false(takes_proxy_header(fixture, "[\"10.0.0.0/8\", \"::1\", \"127.0.0.2\"]"));
	assert_false(takes_proxy_header(fixture, ""));
}

static void draining_closes_the_listener_and_waits_for_sessions(void **state)
{
	struct fixture *fixture = *state;
	order(fixture, "", "");
	int fd = connect_client(fixture), late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(is_soon(has_sessions, fixture, 1));
	worker_set_mode(fixture->worker, WORKER_DRAIN);
	assert_true(is_soon(is_settled, fixture, 0));
	assert_int_equal(fixture->listener->fds[0], -1);
	assert_int_equal(
		connect(late, (struct sockaddr *)&fixture->address, sizeof fixture->address), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_false(worker_has_ended(fixture->worker));
	assert_false(is_closed(fd, 100));
	close(fd);
	close(late);
	assert_true(is_soon(has_ended, fixture, 0));
}

static void what_is_queued_is_accepted_before_the_drain(void **state)
{
	struct fixture *fixture = *state;
	int fds[8];
	for (unsigned i = 0; i < 8; i++)
		fds[i] = connect_client(fixture); /* nothing accepts yet */
	order(fixture, "", "");
	worker_set_mode(fixture->worker, WORKER_DRAIN);
	assert_true(is_soon(has_sessions, fixture, 8));
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
	assert_true(is_soon(has_ended, fixture, 0));
}

static void stopping_ends_sessions(void **state)
{
	struct fixture *fixture = *state;
	order(fixture, "", "");
	int fd = connect_client(fixture);
	assert_true(is_soon(has_sessions, fixture, 1));
	worker_set_mode(fixture->worker, WORKER_STOP);
	assert_true(is_soon(has_ended, fixture, 0));
	assert_true(is_closed(fd, PATIENCE_MS));
	close(fd);
}

static void it_stops_without_an_order(void **state)
{
	struct fixture *fixture = *state;
	worker_revalidate(fixture->worker);
	worker_ping(fixture->worker);
	worker_set_mode(fixture->worker, WORKER_STOP);
	assert_true(is_soon(has_ended, fixture, 0));
	assert_true(worker_has_answered(fixture->worker));
}

static bool count_run(struct task *task, struct service *service)
{
	(void)task, (void)service;
	return true;
}

static atomic_uint tasks_done;

static void count_done(struct task *task)
{
	(void)task;
	atomic_fetch_add(&tasks_done, 1);
}

static bool are_done(struct fixture *fixture, unsigned number)
{
	(void)fixture;
	return atomic_load(&tasks_done) == number;
}

static void tasks_are_done_also_after_its_end(void **state)
{
	struct fixture *fixture = *state;
	struct task task = {.run = count_run, .done = count_done}, late = task;
	atomic_store(&tasks_done, 0);
	worker_add_task(fixture->worker, &task);
	assert_true(is_soon(are_done, fixture, 1));
	worker_set_mode(fixture->worker, WORKER_STOP);
	assert_true(is_soon(has_ended, fixture, 0));
	worker_add_task(fixture->worker, &late);
	assert_int_equal(atomic_load(&tasks_done), 2);
}

static int set_up_without_memory(void **state)
{
	atomic_store(&epoll_failures, 3);
	return set_up(state);
}

static void a_wakeup_that_epoll_refuses_is_watched_later(void **state)
{
	struct fixture *fixture = *state;
	worker_ping(fixture->worker);
	order(fixture, "", "");
	assert_int_equal(atomic_load(&epoll_failures), 0);
	assert_true(worker_has_answered(fixture->worker));
}

static unsigned deaf(const struct fixture *fixture)
{
	return (unsigned)counter_get(&worker_counters(fixture->worker)->deaf);
}

static bool is_deaf(struct fixture *fixture, unsigned number)
{
	return deaf(fixture) == number;
}

static void a_socket_that_epoll_refuses_is_accepted_from_later(void **state)
{
	struct fixture *fixture = *state;
	worker_revalidate(fixture->worker); /* its wake-up is watched by then */
	assert_true(is_soon(is_settled, fixture, 0));
	atomic_store(&epoll_failures, 3);
	order(fixture, "", "");
	int first = connect_client(fixture);
	assert_true(is_soon(is_deaf, fixture, 1));
	assert_true(is_soon(has_sessions, fixture, 1));
	close(first);
	assert_true(is_soon(has_sessions, fixture, 0));
	assert_true(is_soon(is_deaf, fixture, 0));
}

/* Where accepting resumes: at a limit. */
static void a_failure_when_accepting_resumes_passes(void **state)
{
	struct fixture *fixture = *state;
	order(fixture, "", ", \"proxy\": {\"max_connections\": 1}");
	int first = connect_client(fixture), second = connect_client(fixture);
	assert_true(is_soon(has_sessions, fixture, 1));
	atomic_store(&epoll_failing, fixture->listener->fds[0]);
	atomic_store(&epoll_failures, 1);
	close(first);
	assert_true(is_soon(is_deaf, fixture, 1));
	atomic_store(&epoll_failing, -1);
	assert_true(is_soon(has_sessions, fixture, 1));
	close(second);
	assert_true(is_soon(has_sessions, fixture, 0));
}

static void a_socket_that_was_shut_down_is_deaf(void **state)
{
	struct fixture *fixture = *state;
	order(fixture, "", "");
	assert_int_equal(deaf(fixture), 0);
	shutdown(fixture->listener->fds[0], SHUT_RD);
	assert_true(is_soon(is_deaf, fixture, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(connections_are_accepted_and_counted),
		TEST(at_max_connections_it_pauses_and_resumes),
		TEST(out_of_descriptors_it_pauses_as_well),
		TEST(a_raised_limit_needs_no_end_of_a_session),
		TEST(the_source_decides_who_is_a_proxy),
		TEST(draining_closes_the_listener_and_waits_for_sessions),
		TEST(what_is_queued_is_accepted_before_the_drain),
		TEST(stopping_ends_sessions),
		TEST(it_stops_without_an_order),
		TEST(tasks_are_done_also_after_its_end),
		cmocka_unit_test_setup_teardown(a_wakeup_that_epoll_refuses_is_watched_later,
			set_up_without_memory, tear_down),
		TEST(a_socket_that_epoll_refuses_is_accepted_from_later),
		TEST(a_failure_when_accepting_resumes_passes),
		TEST(a_socket_that_was_shut_down_is_deaf),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
