/* Health checks: how many connect at once, and that all have their turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop_ctx.h"
#include "upstream/health_checks.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SERVERS     (4 * HEALTH_CHECKS_AT_ONCE)
#define PATIENCE_US 20000000ull
#define FILLERS     4

struct bench {
	struct ev_loop *loop;
	struct servers *servers;
	struct health_checks *checks;
	struct backend backend;
	struct server list[SERVERS];
	int listener, fillers[FILLERS];
	unsigned open_before;
};

static unsigned count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* The kernel answers no connection while the queue of the listener is full. */
static unsigned open_full_listener(struct bench *bench)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof address;
	bench->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(bench->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(bench->listener, 0), 0);
	getsockname(bench->listener, (struct sockaddr *)&address, &len);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < FILLERS; i++) {
		bench->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(bench->fillers[i], (struct sockaddr *)&address, sizeof address);
	}
	return ntohs(address.sin_port);
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);
	struct err err;
	bench->loop = loop_ctx_loop_create(&err);
	bench->servers = servers_create();
	bench->checks = health_checks_create(bench->loop, &err);
	assert_non_null(bench->checks);
	unsigned port = open_full_listener(bench);
	bench->backend = (struct backend){
		.servers = bench->list, .count = SERVERS, .health = {HEALTH_TCP, 60000, 50, 1, 1}};
	for (unsigned i = 0; i < SERVERS; i++) {
		char text[64];
		snprintf(text, sizeof text, "127.1.%u.%u:%u", i / 200, i % 200 + 1, port);
		bench->list[i].state = server_state_ref(bench->servers, text);
		bench->list[i].text = bench->list[i].state->text;
	}
	bench->open_before = count_open();
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	health_checks_destroy(bench->checks);
	for (unsigned i = 0; i < SERVERS; i++)
		server_state_unref(bench->servers, bench->list[i].state);
	for (unsigned i = 0; i < FILLERS; i++)
		close(bench->fillers[i]);
	close(bench->listener);
	servers_destroy(bench->servers);
	ev_loop_destroy(bench->loop);
	free(bench);
	return 0;
}

static void follow(struct bench *bench, bool has_backend)
{
	health_checks_begin(bench->checks);
	if (has_backend)
		health_checks_add(bench->checks, &bench->backend);
	health_checks_end(bench->checks);
}

static unsigned count_down(const struct bench *bench)
{
	unsigned count = 0;
	for (unsigned i = 0; i < SERVERS; i++)
		count += atomic_load(&bench->list[i].state->unhealthy);
	return count;
}

static void a_bounded_number_connects_at_once(void **state)
{
	struct bench *bench = *state;
	unsigned most = 0;
	uint64_t until = clock_now_us() + PATIENCE_US;
	follow(bench, true);
	while (count_down(bench) < SERVERS && clock_now_us() < until) {
		ev_run(bench->loop, EVRUN_ONCE);
		unsigned open = count_open() - bench->open_before;
		most = open > most ? open : most;
	}
	assert_int_equal(count_down(bench), SERVERS);
	assert_in_range(most, 2, HEALTH_CHECKS_AT_ONCE);
}

/* A reload may come while some connect, some wait, and some have had their turn. */
static void a_reload_drops_those_that_wait(void **state)
{
	struct bench *bench = *state;
	follow(bench, true);
	for (unsigned i = 0; i < 3; i++)
		ev_run(bench->loop, EVRUN_ONCE | EVRUN_NOWAIT);
	bench->backend.count = SERVERS - HEALTH_CHECKS_AT_ONCE;
	follow(bench, true);
	follow(bench, false);
	assert_int_equal(count_open(), bench->open_before);
	bench->backend.count = SERVERS;
	a_bounded_number_connects_at_once(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_bounded_number_connects_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reload_drops_those_that_wait, set_up, tear_down),
	};
	log_configure(LOG_ERROR_LEVEL, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
