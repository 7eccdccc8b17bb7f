/* How many connections a source has, and how fast it makes them; what one source is. */
#include "session/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

union source {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union source source_of(const char *text)
{
	union source source = {.any = {.sa_family = AF_INET6}};
	if (inet_pton(AF_INET6, text, &source.v6.sin6_addr) == 1)
		return source;
	source.any.sa_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, text, &source.v4.sin_addr), 1);
	return source;
}

static enum source_verdict enter(
	struct sources *sources, const char *text, unsigned most, unsigned rate)
{
	union source source = source_of(text);
	return sources_enter(sources, &source.any, most, rate);
}

static void leave(struct sources *sources, const char *text)
{
	union source source = source_of(text);
	sources_leave(sources, &source.any);
}

static void counts_what_is_there(void **state)
{
	(void)state;
	struct sources *sources = sources_create();
	for (int i = 0; i < 3; i++)
		assert_int_equal(enter(sources, "192.0.2.1", 3, 0), SOURCE_ADMITTED);
	assert_int_equal(enter(sources, "192.0.2.1", 3, 0), SOURCE_TOO_MANY);
	assert_int_equal(enter(sources, "192.0.2.2", 3, 0), SOURCE_ADMITTED);
	assert_int_equal(enter(sources, "192.0.2.1", 0, 0), SOURCE_ADMITTED);
	leave(sources, "192.0.2.1");
	assert_int_equal(enter(sources, "192.0.2.1", 3, 0), SOURCE_TOO_MANY);
	leave(sources, "192.0.2.1");
	assert_int_equal(enter(sources, "192.0.2.1", 3, 0), SOURCE_ADMITTED);
	sources_destroy(sources);
}

static void knows_what_one_source_is(void **state)
{
	(void)state;
	struct sources *sources = sources_create();
	static const struct {
		const char *one, *other;
		enum source_verdict expected;
	} cases[] = {
		{"192.0.2.1", "::ffff:192.0.2.1", SOURCE_TOO_MANY},
		{"2001:db8:1:2::", "2001:db8:1:2:ffff:ffff:ffff:ffff", SOURCE_TOO_MANY},
		{"2001:db8:1:3::", "2001:db8:1:4::", SOURCE_ADMITTED},
		{"::ffff:192.0.2.3", "::ffff:192.0.2.4", SOURCE_ADMITTED},
		{"0.0.0.0", "::", SOURCE_ADMITTED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(enter(sources, cases[i].one, 1, 0), SOURCE_ADMITTED);
		assert_int_equal(enter(sources, cases[i].other, 1, 0), cases[i].expected);
	}
	sources_destroy(sources);
}

static void admits_so_many_a_second(void **state)
{
	(void)state;
	struct sources *sources = sources_create();
	for (int i = 0; i < 20; i++)
		assert_int_equal(enter(sources, "192.0.2.1", 0, 20), SOURCE_ADMITTED);
	assert_int_equal(enter(sources, "192.0.2.1", 0, 20), SOURCE_TOO_FAST);
	assert_int_equal(enter(sources, "192.0.2.2", 0, 20), SOURCE_ADMITTED);
	nanosleep(&(struct timespec){.tv_nsec = 120 * 1000 * 1000}, NULL);
	assert_int_equal(enter(sources, "192.0.2.1", 0, 20), SOURCE_ADMITTED);
	assert_int_equal(enter(sources, "192.0.2.1", 0, 20), SOURCE_ADMITTED);
	sources_destroy(sources);
}

/* Whoever is refused for its number has no connection that could leave. */
static void refused_ones_are_not_counted(void **state)
{
	(void)state;
	struct sources *sources = sources_create();
	assert_int_equal(enter(sources, "192.0.2.1", 1, 0), SOURCE_ADMITTED);
	for (int i = 0; i < 5; i++)
		assert_int_equal(enter(sources, "192.0.2.1", 1, 0), SOURCE_TOO_MANY);
	leave(sources, "192.0.2.1");
	assert_int_equal(enter(sources, "192.0.2.1", 1, 0), SOURCE_ADMITTED);
	sources_destroy(sources);
}

enum { ROUNDS = 20000, MANY = 400 };

static void *come_and_go(void *arg)
{
	struct sources *sources = arg;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		union source source = {
			.v4 = {.sin_family = AF_INET, .sin_addr = {htonl(i % MANY)}}};
		if (sources_enter(sources, &source.any, 3, 0) == SOURCE_ADMITTED)
			sources_leave(sources, &source.any);
	}
	return NULL;
}

static void threads_share_it(void **state)
{
	(void)state;
	struct sources *sources = sources_create();
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, sources), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < MANY; i++) {
		union source source = {.v4 = {.sin_family = AF_INET, .sin_addr = {htonl(i)}}};
		assert_int_equal(sources_enter(sources, &source.any, 1, 0), SOURCE_ADMITTED);
	}
	sources_destroy(sources);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_what_is_there),
		cmocka_unit_test(knows_what_one_source_is),
		cmocka_unit_test(admits_so_many_a_second),
		cmocka_unit_test(refused_ones_are_not_counted),
		cmocka_unit_test(threads_share_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
