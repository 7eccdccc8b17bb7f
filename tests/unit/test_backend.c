/*
 * Which server of several a connection gets: each way of balancing, servers that
 * are down, backups.
 */
#include "upstream/backend.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One backend, made anew for each test. */
struct fixture {
	struct arena arena;
	struct servers *servers;
	struct backend *backend;
};

static void make(
	struct fixture *fixture, enum balance balance, const char *const *addresses, size_t count)
{
	struct server_config configs[40] = {0};
	assert_true(count <= 40);
	for (size_t i = 0; i < count; i++) {
		configs[i].backup = addresses[i][0] == '~';
		configs[i].address = addresses[i] + configs[i].backup;
	}
	struct backend_config config = {.servers = configs, .count = count, .balance = balance};
	*fixture = (struct fixture){.servers = servers_create()};
	fixture->backend = backend_create(&fixture->arena, fixture->servers, &config);
	assert_non_null(fixture->backend);
}

#define MAKE(fixture, balance, ...)                                                                \
	make(fixture, balance, (const char *const[]){__VA_ARGS__},                                 \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void finish(struct fixture *fixture)
{
	backend_finish(fixture->backend, fixture->servers);
	servers_destroy(fixture->servers);
	arena_finish(&fixture->arena);
}

static struct server *server(struct fixture *fixture, int index)
{
	return &fixture->backend->servers[index];
}

/* As if that many dials in a row had failed, each after the time of the one before, the last now. */
static void fail_dials(struct fixture *fixture, int index, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (server(fixture, index)->state)
			atomic_store(&server(fixture, index)->state->down_until, 0);
		server_failed(server(fixture, index));
	}
}

/* The servers of a connection that fails with each, one letter each. */
static void try_all(struct fixture *fixture, char order[41])
{
	uint32_t tried = 0;
	size_t len = 0;
	for (int i; (i = backend_choose(fixture->backend, tried, 0)) >= 0;) {
		assert_false(tried >> i & 1);
		assert_true(len < 40);
		order[len++] = server(fixture, i)->text[0];
		tried |= 1u << i;
	}
	order[len] = '\0';
}

static void assert_tries(struct fixture *fixture, const char *expected)
{
	char order[41];
	try_all(fixture, order);
	assert_string_equal(order, expected);
}

static void one_server_is_tried_once(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_LEAST_CONNECTIONS, "a:1");
	assert_null(server(&fixture, 0)->state);
	assert_tries(&fixture, "a");
	fail_dials(&fixture, 0, 5);
	server_taken(server(&fixture, 0));
	server_left(server(&fixture, 0));
	server_answered(server(&fixture, 0));
	assert_tries(&fixture, "a");
	finish(&fixture);
}

static void round_robin_takes_turns(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_ROUND_ROBIN, "a:1", "b:1", "c:1");
	for (int i = 0; i < 9; i++)
		assert_int_equal(backend_choose(fixture.backend, 0, 0), i % 3);
	finish(&fixture);
}

/* A retry takes a turn too; what counts is that a server that was tried is not chosen again. */
static void what_was_tried_is_left_out(void **state)
{
	(void)state;
	struct fixture fixture;
	for (int balance = BALANCE_LEAST_CONNECTIONS; balance <= BALANCE_SOURCE; balance++) {
		MAKE(&fixture, (enum balance)balance, "a:1", "b:1", "c:1");
		for (unsigned tried = 0; tried < 7; tried++) {
			int chosen = backend_choose(fixture.backend, tried, 42);
			assert_in_range(chosen, 0, 2);
			assert_false(tried >> chosen & 1);
		}
		assert_int_equal(backend_choose(fixture.backend, 7, 42), -1);
		finish(&fixture);
	}
}

static void the_least_busy_is_chosen(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_LEAST_CONNECTIONS, "a:1", "b:1", "c:1");
	server_taken(server(&fixture, 0));
	server_taken(server(&fixture, 0));
	server_taken(server(&fixture, 1));
	server_taken(server(&fixture, 2));
	server_taken(server(&fixture, 2));
	for (int i = 0; i < 5; i++)
		assert_int_equal(backend_choose(fixture.backend, 0, 0), 1);
	server_left(server(&fixture, 2));
	server_left(server(&fixture, 2));
	assert_int_equal(backend_choose(fixture.backend, 0, 0), 2);
	finish(&fixture);
}

/* Else a rush of short connections would all go to the first. */
static void equally_busy_servers_take_turns(void **state)
{
	(void)state;
	struct fixture fixture;
	int chosen[3] = {0};
	MAKE(&fixture, BALANCE_LEAST_CONNECTIONS, "a:1", "b:1", "c:1");
	for (int i = 0; i < 30; i++)
		chosen[backend_choose(fixture.backend, 0, 0)]++;
	for (int i = 0; i < 3; i++)
		assert_int_equal(chosen[i], 10);
	finish(&fixture);
}

#define SOURCES 3000

static void a_source_keeps_its_server(void **state)
{
	(void)state;
	struct fixture fixture;
	int chosen[3] = {0};
	MAKE(&fixture, BALANCE_SOURCE, "a:1", "b:1", "c:1");
	for (uint64_t hash = 1; hash <= SOURCES; hash++) {
		int first = backend_choose(fixture.backend, 0, hash);
		chosen[first]++;
		server_taken(server(&fixture, first));
		assert_int_equal(backend_choose(fixture.backend, 0, hash), first);
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(chosen[i], SOURCES / 3 - 150, SOURCES / 3 + 150);
	finish(&fixture);
}

/*
 * Of the sources only those move that were on the server that went; whatever the order
 * of the list.
 */
static void a_server_that_goes_moves_only_its_own(void **state)
{
	(void)state;
	struct fixture before, after;
	MAKE(&before, BALANCE_SOURCE, "a:1", "b:1", "c:1", "d:1");
	MAKE(&after, BALANCE_SOURCE, "d:1", "a:1", "c:1");
	for (uint64_t hash = 1; hash <= SOURCES; hash++) {
		char was = server(&before, backend_choose(before.backend, 0, hash))->text[0];
		char is = server(&after, backend_choose(after.backend, 0, hash))->text[0];
		if (was != 'b')
			assert_int_equal(is, was);
	}
	finish(&before);
	finish(&after);
}

static void a_server_that_failed_is_avoided(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_ROUND_ROBIN, "a:1", "b:1");
	fail_dials(&fixture, 0, 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(backend_choose(fixture.backend, 0, 0), 1);
	server_answered(server(&fixture, 0));
	int chosen = backend_choose(fixture.backend, 0, 0);
	assert_int_equal(backend_choose(fixture.backend, 0, 0), 1 - chosen);
	finish(&fixture);
}

static void down_time_doubles_up_to_a_minute(void **state)
{
	(void)state;
	static const unsigned seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
	struct fixture fixture;
	MAKE(&fixture, BALANCE_ROUND_ROBIN, "a:1", "b:1");
	for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
		uint64_t from = clock_now_us();
		fail_dials(&fixture, 0, 1);
		uint64_t until = atomic_load(&server(&fixture, 0)->state->down_until);
		assert_in_range(until - from, seconds[i] * 1000000ull,
			seconds[i] * 1000000ull + clock_now_us() - from);
	}
	server_answered(server(&fixture, 0));
	uint64_t from = clock_now_us();
	fail_dials(&fixture, 0, 1);
	assert_in_range(
		atomic_load(&server(&fixture, 0)->state->down_until) - from, 1000000, 2000000);
	finish(&fixture);
}

static void dials_that_fail_together_are_one_failure(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_ROUND_ROBIN, "a:1", "b:1");
	uint64_t from = clock_now_us();
	assert_true(server_failed(server(&fixture, 0)));
	for (int i = 0; i < 50; i++)
		assert_false(server_failed(server(&fixture, 0)));
	assert_in_range(
		atomic_load(&server(&fixture, 0)->state->down_until) - from, 1000000, 2000000);
	assert_true(server_answered(server(&fixture, 0)));
	assert_false(server_answered(server(&fixture, 0)));
	finish(&fixture);
}

static void down_time_passes(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_SOURCE, "a:1", "b:1");
	int first = backend_choose(fixture.backend, 0, 7);
	fail_dials(&fixture, first, 1);
	assert_int_equal(backend_choose(fixture.backend, 0, 7), 1 - first);
	atomic_store(&server(&fixture, first)->state->down_until, clock_now_us() - 1);
	assert_int_equal(backend_choose(fixture.backend, 0, 7), first);
	finish(&fixture);
}

static void one_that_is_unhealthy_is_avoided(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_LEAST_CONNECTIONS, "a:1", "b:1");
	atomic_store(&server(&fixture, 0)->state->unhealthy, true);
	server_taken(server(&fixture, 1));
	assert_int_equal(backend_choose(fixture.backend, 0, 0), 1);
	assert_tries(&fixture, "ba");
	finish(&fixture);
}

/* Up before down, regular before backup; and even one that is down is better than none. */
static void backups_come_when_no_other_is_up(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_ROUND_ROBIN, "~x:1", "a:1", "b:1", "~y:1");
	for (int i = 0; i < 8; i++)
		assert_in_range(backend_choose(fixture.backend, 0, 0), 1, 2);
	fail_dials(&fixture, 1, 1);
	assert_int_equal(backend_choose(fixture.backend, 0, 0), 2);
	fail_dials(&fixture, 2, 1);
	int backup = backend_choose(fixture.backend, 0, 0);
	assert_true(backup == 0 || backup == 3);
	fail_dials(&fixture, 0, 1);
	char order[41];
	try_all(&fixture, order);
	assert_true(strcmp(order, "yabx") == 0 || strcmp(order, "ybax") == 0);
	finish(&fixture);
}

/* A mask holds 32; those beyond are never reached, and asking ends. */
static void more_servers_than_a_mask_holds(void **state)
{
	(void)state;
	struct fixture fixture;
	const char *addresses[40];
	char texts[40][8];
	for (unsigned i = 0; i < 40; i++) {
		snprintf(texts[i], sizeof texts[i], "h%u:1", i);
		addresses[i] = texts[i];
	}
	make(&fixture, BALANCE_ROUND_ROBIN, addresses, 40);
	uint32_t tried = 0;
	for (unsigned i = 0; i < 32; i++) {
		int chosen = backend_choose(fixture.backend, tried, 0);
		assert_in_range(chosen, 0, 31);
		tried |= 1u << chosen;
	}
	assert_int_equal(backend_choose(fixture.backend, tried, 0), -1);
	finish(&fixture);
}

/* What is known of a server outlives the snapshot that learned it, while somebody names it. */
static void knowledge_is_shared(void **state)
{
	(void)state;
	struct fixture fixture;
	MAKE(&fixture, BALANCE_ROUND_ROBIN, "a:1", "b:1");
	struct server_config configs[] = {{"c:1", false}, {"a:1", false}};
	struct backend_config config = {.servers = configs, .count = 2};
	struct arena arena = {0};
	struct backend *other = backend_create(&arena, fixture.servers, &config);
	assert_non_null(other);
	assert_ptr_equal(other->servers[1].state, server(&fixture, 0)->state);
	fail_dials(&fixture, 0, 1);
	assert_int_equal(backend_choose(other, 0, 0), 0);
	assert_int_equal(backend_choose(other, 0, 0), 0);
	backend_finish(other, fixture.servers);
	assert_int_equal(atomic_load(&server(&fixture, 0)->state->refs), 1);
	arena_finish(&arena);
	finish(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_server_is_tried_once),
		cmocka_unit_test(round_robin_takes_turns),
		cmocka_unit_test(what_was_tried_is_left_out),
		cmocka_unit_test(the_least_busy_is_chosen),
		cmocka_unit_test(equally_busy_servers_take_turns),
		cmocka_unit_test(a_source_keeps_its_server),
		cmocka_unit_test(a_server_that_goes_moves_only_its_own),
		cmocka_unit_test(a_server_that_failed_is_avoided),
		cmocka_unit_test(down_time_doubles_up_to_a_minute),
		cmocka_unit_test(dials_that_fail_together_are_one_failure),
		cmocka_unit_test(down_time_passes),
		cmocka_unit_test(one_that_is_unhealthy_is_avoided),
		cmocka_unit_test(backups_come_when_no_other_is_up),
		cmocka_unit_test(more_servers_than_a_mask_holds),
		cmocka_unit_test(knowledge_is_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
