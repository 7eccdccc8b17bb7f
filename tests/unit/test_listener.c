/* Listeners whose addresses overlap, and who gets the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/listener.h"

static in_port_t port;

/* A port that nothing listens on, of any address. */
static int setup(void **state)
{
	struct address any = {.len = sizeof any.v6, .v6.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	(void)state;
	assert_return_code(bind(fd, &any.any, any.len), errno);
	assert_return_code(getsockname(fd, &any.any, &any.len), errno);
	port = ntohs(any.v6.sin6_port);
	close(fd);
	return 0;
}

static struct listener *open_at(const char *host, unsigned workers)
{
	char text[64];
	struct err err = {.text = "none"};
	snprintf(text, sizeof text, "%s:%u", host, (unsigned)port);
	struct listener *listener = listener_open(text, workers, &err);
	if (!listener)
		fail_msg("%s: %s", text, err.text);
	return listener;
}

static bool has_connection(const struct listener *listener)
{
	bool found = false;
	for (unsigned i = 0; i < listener->count; i++) {
		int fd = accept(listener->fds[i], NULL, NULL);
		found = found || fd >= 0;
		if (fd >= 0)
			close(fd);
	}
	return found;
}

/* Connects to `host`; which of the listeners has the connection, by its place. */
static int who_is_connected(const char *host, struct listener *const listeners[], int count)
{
	char text[64];
	struct endpoint endpoint;
	struct address address;
	struct err err;
	int who = -1;
	snprintf(text, sizeof text, "%s:%u", host, (unsigned)port);
	assert_true(endpoint_parse(text, &endpoint, &err));
	assert_true(address_of_endpoint(&endpoint, &address));
	int fd = socket(address.any.sa_family, SOCK_STREAM, 0);
	assert_return_code(connect(fd, &address.any, address.len), errno);
	for (int i = 0; i < count; i++)
		if (has_connection(listeners[i])) {
			assert_int_equal(who, -1);
			who = i;
		}
	close(fd);
	return who;
}

/* In each order of opening. */
static void test_overlapping_addresses(void **state)
{
	static const char *const hosts[] = {"0.0.0.0", "[::]", "127.0.0.1", "[::1]"};
	(void)state;
	for (size_t first = 0; first < 4; first++) {
		struct listener *listeners[4];
		for (size_t i = 0; i < 4; i++) {
			size_t place = (first + i) % 4;
			listeners[place] = open_at(hosts[place], 2);
		}
		for (int i = 0; i < 8; i++) {
			assert_int_equal(who_is_connected("127.0.0.2", listeners, 4), 0);
			assert_int_equal(who_is_connected("127.0.0.1", listeners, 4), 2);
			assert_int_equal(who_is_connected("[::1]", listeners, 4), 3);
		}
		listener_close(listeners[3]);
		assert_int_equal(who_is_connected("[::1]", listeners, 3), 1);
		for (size_t i = 0; i < 3; i++)
			listener_close(listeners[i]);
	}
}

/* As in a reload: the new one opens while the old one listens. */
static void test_one_takes_the_place_of_another(void **state)
{
	static const char *const hosts[] = {"0.0.0.0", "[::]", "", "127.0.0.1", "0.0.0.0", "[::1]",
		"[::]", "127.0.0.1", "[::]", "0.0.0.0"};
	(void)state;
	struct listener *old = open_at("127.0.0.1", 2);
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		struct listener *next = open_at(hosts[i], 2);
		listener_close(old);
		const char *to = strcmp(hosts[i], "[::1]") == 0 ? "[::1]" : "127.0.0.1";
		assert_int_equal(who_is_connected(to, &next, 1), 0);
		old = next;
	}
	listener_close(old);
}

static bool can_open_in_another_process(const char *host)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char text[64];
		struct err err;
		close_range(3, ~0U, 0);
		snprintf(text, sizeof text, "%s:%u", host, (unsigned)port);
		_exit(listener_open(text, 1, &err) ? 0 : strstr(err.text, "in use") ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static void test_another_process_is_refused(void **state)
{
	(void)state;
	struct listener *listener = open_at("127.0.0.1", 2);
	assert_false(can_open_in_another_process("127.0.0.1"));
	assert_false(can_open_in_another_process("0.0.0.0"));
	assert_false(can_open_in_another_process("[::]"));
	assert_true(can_open_in_another_process("127.0.0.2"));
	listener_close(listener);
}

static void test_overlaps(void **state)
{
	static const struct {
		const char *one, *other;
		bool overlaps;
	} pairs[] = {
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.1:2", false},
		{"127.0.0.1:1", "127.0.0.2:1", false},
		{"127.0.0.1:1", "0.0.0.0:1", true},
		{"127.0.0.1:1", ":1", true},
		{"127.0.0.1:1", "[::ffff:127.0.0.1]:1", true},
		{"[::1]:1", "[::]:1", true},
		{"[::1]:1", "127.0.0.1:1", false},
		{"[::]:1", "0.0.0.0:1", true},
		{"unix:/x", "unix:/x", false},
		{"unix:/x", ":1", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct endpoint endpoint;
		struct address one, other;
		struct err err;
		assert_true(endpoint_parse(pairs[i].one, &endpoint, &err));
		assert_true(address_of_endpoint(&endpoint, &one));
		assert_true(endpoint_parse(pairs[i].other, &endpoint, &err));
		assert_true(address_of_endpoint(&endpoint, &other));
		assert_int_equal(address_overlaps(&one, &other), pairs[i].overlaps);
		assert_int_equal(address_overlaps(&other, &one), pairs[i].overlaps);
	}
}

static void test_an_interface_that_is_missing(void **state)
{
	struct err err;
	(void)state;
	assert_null(listener_open("[fe80::1%nosuch0]:1", 1, &err));
	assert_string_equal(err.text, "this machine has no interface \"nosuch0\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_overlapping_addresses, setup),
		cmocka_unit_test_setup(test_one_takes_the_place_of_another, setup),
		cmocka_unit_test_setup(test_another_process_is_refused, setup),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_an_interface_that_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
