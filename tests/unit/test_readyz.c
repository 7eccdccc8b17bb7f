/* /readyz looks at every worker's counters: a listening socket that is not accepted from is a problem. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "admin/pages.h"
#include "loaded_routes.h"
#include "stats/counters.h"

#define WORKERS 3

struct fixture {
	struct route_loader loader;
	struct routes *routes;
	struct counters *counters[WORKERS];
	struct state *state;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	const struct counters **counters = calloc(WORKERS, sizeof *counters); /* the state's */
	assert_true(f && counters);
	route_loader_init(&f->loader);
	f->routes = route_loader_load(&f->loader,
		"{\"listen\": \"127.0.0.1:1\", \"hosts\": {\"a.test\": {\"mode\": \"passthrough\", "
		"\"backend\": \"127.0.0.1:1\"}}}");
	f->state = state_create();
	assert_true(f->routes && f->state);
	for (unsigned i = 0; i < WORKERS; i++)
		counters[i] = f->counters[i] = counters_create();
	state_set_up(f->state, &(struct state_setup){.counters = counters, .workers = WORKERS});
	state_publish(f->state, &(struct published_state){.routes = f->routes, .listeners = 1});
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	state_destroy(f->state);
	for (unsigned i = 0; i < WORKERS; i++)
		counters_destroy(f->counters[i]);
	routes_unref(f->routes);
	route_loader_finish(&f->loader);
	free(f);
	return 0;
}

static void expect_readyz(struct fixture *f, unsigned status, const char *body)
{
	struct strbuf text = {0};
	assert_int_equal(page_readyz(f->state, &text), status);
	assert_string_equal(text.at, body);
	strbuf_finish(&text);
}

static const char ready[] = "{\"status\":\"ready\",\"problems\":[],\"warnings\":[]}\n";

static void a_socket_that_is_not_accepted_from_is_not_ready(void **state)
{
	struct fixture *f = *state;
	expect_readyz(f, 200, ready);
	counter_set(&f->counters[WORKERS - 1]->deaf, 1);
	expect_readyz(f, 503,
		"{\"status\":\"not ready\",\"problems\":[\"1 listening sockets are not accepted "
		"from\"],\"warnings\":[]}\n");
	counter_set(&f->counters[0]->deaf, 2);
	expect_readyz(f, 503,
		"{\"status\":\"not ready\",\"problems\":[\"3 listening sockets are not accepted "
		"from\"],\"warnings\":[]}\n");
	counter_set(&f->counters[0]->deaf, 0);
	counter_set(&f->counters[WORKERS - 1]->deaf, 0);
	expect_readyz(f, 200, ready);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_socket_that_is_not_accepted_from_is_not_ready, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
