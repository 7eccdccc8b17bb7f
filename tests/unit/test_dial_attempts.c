/* A dial to a name with many addresses that do not answer: how many descriptors it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "dial/dial.h"

#define ADDRESSES 8
#define DEADLINE  10000000

/* The resolver of these tests: a name has these addresses at once. */
static struct address answer[ADDRESSES];
static size_t answer_count;

struct lookup *resolver_lookup(struct resolver *resolver, const char *host, uint16_t port,
	resolved_fn *on_resolved, void *owner)
{
	(void)resolver, (void)host, (void)port;
	on_resolved(owner, answer, answer_count, NULL);
	return NULL;
}

void lookup_cancel(struct lookup *lookup)
{
	assert_null(lookup);
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

struct bench {
	struct ev_loop *loop;
	int silent,
		filler[4]; /* a listener on all of 127/8 whose queue is full: SYNs are dropped */
	int answering;
	unsigned spare, baseline;
	struct dial *dial;
	struct dial_result result;
	bool is_done;
};

static void on_done(void *owner, const struct dial_result *result)
{
	struct bench *bench = owner;
	bench->result = *result;
	bench->is_done = true;
}

static int listen_at(uint32_t ip, in_port_t port, int backlog, struct address *out)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	*out = (struct address){.len = sizeof out->v4,
		.v4 = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(ip)}};
	assert_return_code(bind(fd, &out->any, out->len), errno);
	assert_return_code(listen(fd, backlog), errno);
	assert_return_code(getsockname(fd, &out->any, &out->len), errno);
	return fd;
}

static void addresses_fill(struct address silent)
{
	for (size_t i = 0; i < ADDRESSES; i++) {
		answer[i] = silent;
		answer[i].v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)i);
	}
	answer_count = ADDRESSES;
}

static int setup(void **state)
{
	static struct bench bench;
	struct address silent;
	bench = (struct bench){.loop = ev_loop_new(EVBACKEND_EPOLL), .spare = 100};
	bench.silent = listen_at(INADDR_ANY, 0, 0, &silent);
	silent.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (size_t i = 0; i < 4; i++) {
		bench.filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(bench.filler[i], &silent.any, silent.len);
	}
	addresses_fill(silent);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	close(bench->silent);
	for (size_t i = 0; i < 4; i++)
		close(bench->filler[i]);
	ev_loop_destroy(bench->loop);
	return 0;
}

static void dial_begin(struct bench *bench)
{
	struct endpoint endpoint = {.host = "many.test", .port = 1};
	struct err err;
	struct dial_setup setup = {.loop = bench->loop,
		.endpoint = &endpoint,
		.spare_sockets = &bench->spare,
		.on_done = on_done,
		.owner = bench};
	bench->baseline = open_descriptors();
	bench->dial = dial_start(&setup, &err);
	assert_non_null(bench->dial);
}

/* Until all addresses were tried, or it is done; the most descriptors that it had meanwhile. */
static unsigned watch_dial(struct bench *bench, const char *last)
{
	uint64_t until = clock_now_us() + DEADLINE;
	unsigned max = 0;
	while (!bench->is_done && clock_now_us() < until &&
		!strstr(dial_tried(bench->dial), last)) {
		ev_run(bench->loop, EVRUN_ONCE);
		unsigned now = open_descriptors() - bench->baseline;
		max = now > max ? now : max;
		assert_int_equal(bench->spare, 100 - (now > 1 ? now - 1 : 0));
	}
	return max;
}

static void test_attempts_at_once_are_bounded(void **state)
{
	struct bench *bench = *state;
	dial_begin(bench);
	assert_int_equal(watch_dial(bench, "127.0.0.8:"), 3);
	assert_false(bench->is_done);
	dial_cancel(bench->dial);
	assert_int_equal(bench->spare, 100);
	assert_int_equal(open_descriptors(), bench->baseline);
}

static void test_without_spare_descriptors_there_is_one(void **state)
{
	struct bench *bench = *state;
	uint64_t until = clock_now_us() + DEADLINE;
	bench->spare = 0;
	answer_count = 3;
	dial_begin(bench);
	while (!strstr(dial_tried(bench->dial), "127.0.0.3:") && clock_now_us() < until) {
		ev_run(bench->loop, EVRUN_ONCE);
		assert_true(open_descriptors() - bench->baseline <= 1);
	}
	assert_true(clock_now_us() < until);
	dial_cancel(bench->dial);
	assert_int_equal(bench->spare, 0);
}

static void test_the_last_address_answers(void **state)
{
	struct bench *bench = *state;
	uint64_t until = clock_now_us() + DEADLINE;
	struct address address;
	bench->answering = listen_at(INADDR_LOOPBACK, 0, 8, &address);
	answer[ADDRESSES - 1] = address;
	dial_begin(bench);
	while (!bench->is_done && clock_now_us() < until)
		ev_run(bench->loop, EVRUN_ONCE);
	assert_true(bench->is_done);
	assert_true(bench->result.fd >= 0);
	assert_int_equal(bench->spare, 100);
	assert_int_equal(open_descriptors(), bench->baseline + 1);
	close(bench->result.fd);
	close(bench->answering);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_attempts_at_once_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_without_spare_descriptors_there_is_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_last_address_answers, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
