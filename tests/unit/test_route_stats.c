/* Stats of routes: bounded in number, kept over reloads, gone with their route. */
#include "route/routes_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char path[64];
	struct tls_store *store;
	struct servers *servers;
	struct route_stats_table *table;
};

static void silent(struct report *report, enum severity severity, const char *text)
{
	(void)report, (void)severity;
	fprintf(stderr, "%s\n", text);
}

/* A snapshot with the hosts h`from`.test to h`to - 1`.test. */
static struct routes *load(struct fixture *fixture, unsigned from, unsigned to)
{
	struct routes_setup setup = {fixture->path, fixture->store, fixture->servers};
	struct report report = {.on_finding = silent};
	struct path_set paths = {0};
	FILE *file = fopen(fixture->path, "w");
	assert_non_null(file);
	fputs("{\"listen\": \":1\", \"hosts\": {", file);
	for (unsigned i = from; i < to; i++)
		fprintf(file,
			"%s\"h%u.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"}",
			i > from ? "," : "", i);
	fputs("}}", file);
	fclose(file);
	struct routes *routes = routes_load(&setup, &paths, &report);
	assert_non_null(routes);
	tls_store_end(fixture->store, true);
	path_set_finish(&paths);
	return routes;
}

static struct route *route_of(struct routes *routes, unsigned number)
{
	char name[32];
	snprintf(name, sizeof name, "h%u.test", number);
	return routes_same(routes, &(struct route){.host = name});
}

static struct route_stats *stats_of(struct fixture *fixture, struct routes *routes, unsigned number)
{
	return routes_stats_of(fixture->table, routes, route_of(routes, number));
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct err err;
	snprintf(fixture.path, sizeof fixture.path, "/tmp/gatehouse-stats-%d.json", (int)getpid());
	fixture.store = tls_store_create(&err);
	fixture.servers = servers_create();
	fixture.table = route_stats_table_create();
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	route_stats_table_destroy(fixture->table);
	servers_destroy(fixture->servers);
	tls_store_destroy(fixture->store);
	return unlink(fixture->path);
}

static size_t count_rows(struct fixture *fixture)
{
	size_t count;
	free(route_stats_rows(fixture->table, &count));
	return count;
}

static void a_route_has_one_and_the_same(void **state)
{
	struct fixture *fixture = *state;
	struct routes *routes = load(fixture, 0, 3);
	struct route_stats *stats = stats_of(fixture, routes, 1);
	assert_string_equal(stats->host, "h1.test");
	assert_ptr_equal(stats_of(fixture, routes, 1), stats);
	assert_ptr_not_equal(stats_of(fixture, routes, 2), stats);
	assert_string_equal(route_stats_none(fixture->table)->host, "_none");
	assert_int_equal(count_rows(fixture), 2 + 2);
	routes_unref(routes);
	assert_int_equal(count_rows(fixture), 2);
}

static void the_thousand_and_first_shares(void **state)
{
	struct fixture *fixture = *state;
	struct routes *routes = load(fixture, 0, ROUTE_STATS_MAX + 5);
	for (unsigned i = 0; i < ROUTE_STATS_MAX + 5; i++) {
		struct route_stats *stats = stats_of(fixture, routes, i);
		assert_int_equal(strcmp(stats->host, "_other") == 0, i >= ROUTE_STATS_MAX);
	}
	assert_int_equal(count_rows(fixture), ROUTE_STATS_MAX + 2);
	routes_unref(routes);
}

static void a_reload_keeps_what_stays(void **state)
{
	struct fixture *fixture = *state;
	struct routes *before = load(fixture, 0, 4);
	struct route_stats *gone = stats_of(fixture, before, 0),
			   *stays = stats_of(fixture, before, 3);
	gone->connections = 5;
	stays->connections = 7;
	struct routes *after = load(fixture, 2, 6);
	routes_stats_follow(fixture->table, after);
	assert_int_equal(count_rows(fixture), 2 + 2);
	assert_int_equal(gone->connections, 5); /* a session of before may still count */
	routes_unref(before);
	assert_int_equal(count_rows(fixture), 1 + 2);
	assert_ptr_equal(stats_of(fixture, after, 3), stays);
	assert_int_equal(stays->connections, 7);
	routes_unref(after);
}

/* First seen under the new snapshot, before the old one has gone. */
static void two_snapshots_share(void **state)
{
	struct fixture *fixture = *state;
	struct routes *before = load(fixture, 0, 2), *after = load(fixture, 0, 2);
	routes_stats_follow(fixture->table, after);
	struct route_stats *stats = stats_of(fixture, after, 1);
	assert_ptr_equal(stats_of(fixture, before, 1), stats);
	routes_unref(after);
	assert_int_equal(count_rows(fixture), 1 + 2);
	routes_unref(before);
	assert_int_equal(count_rows(fixture), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_route_has_one_and_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_thousand_and_first_shares, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reload_keeps_what_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(two_snapshots_share, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
