/* The pool of kernel pipes, with the kernel's own limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/pipes.h"

#define WORTH   (64 * 1024)
#define NOBODY  65534
#define REFUSED 64 /* takes that go unasked after the kernel said no */

static int lowest_free_fd(void)
{
	int fd = dup(0);
	close(fd);
	return fd;
}

static void test_takes_and_gives(void **state)
{
	struct pipes *pipes = pipes_create();
	struct pipe *one = pipes_take(pipes), *other = pipes_take(pipes);
	(void)state;
	assert_non_null(one);
	assert_non_null(other);
	assert_ptr_not_equal(one, other);
	assert_int_equal(pipes_in_use(pipes), 2);
	assert_true(one->capacity >= WORTH);
	assert_int_equal(one->used, 0);
	assert_true(fcntl(one->read_fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(one->write_fd, F_GETFD) & FD_CLOEXEC);
	pipes_give(pipes, one);
	assert_int_equal(pipes_in_use(pipes), 1);
	int free_fd = lowest_free_fd();
	assert_ptr_equal(pipes_take(pipes), one);
	assert_int_equal(lowest_free_fd(), free_fd); /* none was opened */
	pipes_give(pipes, one);
	pipes_give(pipes, other);
	pipes_destroy(pipes);
}

static void test_one_with_bytes_in_it_is_not_used_again(void **state)
{
	struct pipes *pipes = pipes_create();
	int free_fd = lowest_free_fd();
	struct pipe *pipe = pipes_take(pipes);
	(void)state;
	assert_int_equal(write(pipe->write_fd, "left over", 9), 9);
	pipe->used = 9;
	pipes_give(pipes, pipe);
	assert_int_equal(lowest_free_fd(), free_fd);
	pipe = pipes_take(pipes);
	char data[16];
	assert_int_equal(read(pipe->read_fd, data, sizeof data), -1);
	pipes_give(pipes, pipe);
	pipes_destroy(pipes);
	assert_int_equal(lowest_free_fd(), free_fd);
}

static void test_grows(void **state)
{
	struct pipes *pipes = pipes_create();
	struct pipe *pipe = pipes_take(pipes);
	size_t before = pipe->capacity;
	(void)state;
	pipes_grow(pipes, pipe);
	assert_true(pipe->capacity >= before);
	assert_int_equal(pipe->capacity, fcntl(pipe->write_fd, F_GETPIPE_SZ));
	if (geteuid() == 0)
		assert_int_equal(pipe->capacity, 1024 * 1024);
	pipes_give(pipes, pipe);
	pipes_destroy(pipes);
}

static void test_trims(void **state)
{
	struct pipes *pipes = pipes_create();
	struct pipe *taken[5];
	int free_fd = lowest_free_fd();
	(void)state;
	for (int i = 0; i < 5; i++)
		taken[i] = pipes_take(pipes);
	for (int i = 0; i < 4; i++)
		pipes_give(pipes, taken[i]);
	assert_int_equal(pipes_trim(pipes), 4);
	assert_int_equal(pipes_trim(pipes), 0);
	assert_int_equal(pipes_in_use(pipes), 1);
	pipes_give(pipes, taken[4]);
	assert_int_equal(pipes_trim(pipes), 1);
	assert_int_equal(lowest_free_fd(), free_fd);
	pipes_destroy(pipes);
}

static void test_keeps_no_more_than_it_may_need(void **state)
{
	struct pipes *pipes = pipes_create();
	struct pipe *taken[200];
	(void)state;
	for (int i = 0; i < 200; i++)
		assert_non_null(taken[i] = pipes_take(pipes));
	for (int i = 0; i < 200; i++)
		pipes_give(pipes, taken[i]);
	assert_in_range(pipes_trim(pipes), 1, 128);
	pipes_destroy(pipes);
	pipes_destroy(NULL);
}

static void test_has_a_limit(void **state)
{
	struct pipes *pipes = pipes_create();
	(void)state;
	pipes_limit(pipes, 2);
	struct pipe *one = pipes_take(pipes), *other = pipes_take(pipes);
	assert_non_null(other);
	assert_null(pipes_take(pipes));
	pipes_give(pipes, one);
	assert_non_null(one = pipes_take(pipes));
	assert_null(pipes_take(pipes));
	pipes_give(pipes, one);
	pipes_give(pipes, other);
	pipes_destroy(pipes);
}

/* Without descriptors it says NULL, asks the kernel only now and then, and comes back by itself. */
static void test_no_descriptors(void **state)
{
	struct pipes *pipes = pipes_create();
	struct rlimit before, none;
	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = (rlim_t)lowest_free_fd() + 1; /* one, and a pipe takes two */
	int free_fd = lowest_free_fd();
	setrlimit(RLIMIT_NOFILE, &none);
	assert_null(pipes_take(pipes));
	assert_int_equal(lowest_free_fd(), free_fd);
	setrlimit(RLIMIT_NOFILE, &before);
	struct pipe *pipe = NULL;
	unsigned refused = 0;
	while (!(pipe = pipes_take(pipes)))
		assert_true(++refused <= REFUSED);
	assert_true(refused > 1);
	assert_int_equal(pipes_in_use(pipes), 1);
	pipes_give(pipes, pipe);
	pipes_destroy(pipes);
}

/* Beyond pipe-user-pages-soft an ordinary user's pipes are tiny, and cost more than they save. */
static void run_as_nobody(void)
{
	struct rlimit limit = {8192, 8192};
	setrlimit(RLIMIT_NOFILE, &limit);
	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		_exit(2);
	for (int i = 0; i < 4000; i++) {
		int fds[2];
		if (pipe(fds) < 0)
			_exit(3);
		if (fcntl(fds[0], F_GETPIPE_SZ) >= WORTH)
			continue;
		struct pipes *pipes = pipes_create();
		int free_fd = lowest_free_fd();
		bool ok = pipes_take(pipes) == NULL && lowest_free_fd() == free_fd;
		pipes_destroy(pipes);
		_exit(ok ? 0 : 1);
	}
	_exit(4); /* no limit here */
}

static void test_tiny_pipes_are_none(void **state)
{
	int status;
	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t child = fork();
	if (child == 0)
		run_as_nobody();
	waitpid(child, &status, 0);
	if (WEXITSTATUS(status) > 1)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_and_gives),
		cmocka_unit_test(test_one_with_bytes_in_it_is_not_used_again),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_trims),
		cmocka_unit_test(test_keeps_no_more_than_it_may_need),
		cmocka_unit_test(test_has_a_limit),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_tiny_pipes_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
