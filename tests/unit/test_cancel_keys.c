/* Keys to cancel by: they lead to their entry and to nothing else, from any thread, and end with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "route/kept_route.h"
#include "session_rig.h"

#include <pthread.h>

#define HOSTS                                                                                      \
	"\"hosts\": {\"a.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"}, "      \
	"\"b.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:2\"}}"

static struct rig *rig_of(void **state)
{
	return *state;
}

static int set_up(void **state)
{
	*state = rig_create(HOSTS);
	return 0;
}

static int tear_down(void **state)
{
	rig_destroy(*state);
	return 0;
}

static struct route *route_of(const struct rig *rig, const char *name)
{
	return routes_find(rig->service.routes, span_of_string(name), span_of(NULL, 0));
}

static struct cancel_target make_target(const struct rig *rig, const char *host, const char *key)
{
	struct cancel_target target = {.routes = routes_ref(rig->service.routes),
		.route = route_of(rig, host),
		.len = strlen(key)};
	memcpy(target.key, key, target.len);
	return target;
}

static struct cancel_key *issue(
	const struct rig *rig, const char *host, const char *key, uint8_t *out)
{
	struct cancel_target target = make_target(rig, host, key);
	struct cancel_key *issued = cancel_keys_issue(rig->limits.cancel_keys, 0, &target, out);
	assert_non_null(issued);
	return issued;
}

static bool leads_to(
	const struct rig *rig, struct span key, const struct route *route, const char *expected)
{
	struct cancel_target found;
	if (!cancel_keys_find(rig->limits.cancel_keys, key, route, &found))
		return false;
	bool is_expected =
		found.len == strlen(expected) && memcmp(found.key, expected, found.len) == 0;
	routes_unref(found.routes);
	return is_expected;
}

static void a_key_leads_to_the_servers(void **state)
{
	const struct rig *rig = rig_of(state);
	uint8_t short_key[8], long_key[PREFACE_KEY_MAX];
	char secret[PREFACE_KEY_MAX + 1];
	memset(secret, 'x', PREFACE_KEY_MAX);
	secret[PREFACE_KEY_MAX] = '\0';
	struct cancel_key *one = issue(rig, "a.test", "abcd1234", short_key);
	struct cancel_key *other = issue(rig, "b.test", secret, long_key);
	assert_true(leads_to(rig, span_of(short_key, 8), NULL, "abcd1234"));
	assert_true(leads_to(rig, span_of(long_key, PREFACE_KEY_MAX), NULL, secret));
	assert_true(short_key[0] < 0x80); /* as a process id */
	assert_memory_not_equal(short_key, "abcd1234", 8);
	cancel_keys_withdraw(rig->limits.cancel_keys, one);
	assert_false(leads_to(rig, span_of(short_key, 8), NULL, "abcd1234"));
	assert_true(leads_to(rig, span_of(long_key, PREFACE_KEY_MAX), NULL, secret));
	cancel_keys_withdraw(rig->limits.cancel_keys, other);
}

static void another_key_leads_nowhere(void **state)
{
	const struct rig *rig = rig_of(state);
	uint8_t key[8], wrong[9] = {0};
	struct cancel_key *issued = issue(rig, "a.test", "abcd1234", key);
	for (unsigned bit = 0; bit < 64; bit++) {
		memcpy(wrong, key, 8);
		wrong[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(leads_to(rig, span_of(wrong, 8), NULL, "abcd1234"));
	}
	memcpy(wrong, key, 8);
	for (size_t len = 0; len <= 9; len++)
		assert_int_equal(leads_to(rig, span_of(wrong, len), NULL, "abcd1234"), len == 8);
	cancel_keys_withdraw(rig->limits.cancel_keys, issued);
}

static void a_key_may_be_of_a_route(void **state)
{
	struct rig *rig = rig_of(state);
	uint8_t key[8];
	struct cancel_key *issued = issue(rig, "a.test", "abcd1234", key);
	assert_true(leads_to(rig, span_of(key, 8), route_of(rig, "a.test"), "abcd1234"));
	assert_false(leads_to(rig, span_of(key, 8), route_of(rig, "b.test"), "abcd1234"));
	rig_load(rig, HOSTS); /* the same route in another snapshot */
	assert_true(leads_to(rig, span_of(key, 8), route_of(rig, "a.test"), "abcd1234"));
	cancel_keys_withdraw(rig->limits.cancel_keys, issued);
}

/* More than one part holds, then more than all hold. */
static void the_table_is_bounded(void **state)
{
	enum { MAX = 64 * 4096 };
	const struct rig *rig = rig_of(state);
	struct cancel_target target = make_target(rig, "a.test", "abcd1234");
	struct cancel_key **issued = calloc(MAX, sizeof *issued);
	uint8_t first[8], key[8];
	for (unsigned i = 0; i < MAX; i++) {
		routes_ref(target.routes);
		issued[i] = cancel_keys_issue(
			rig->limits.cancel_keys, 5, &target, i == 0 ? first : key);
		assert_non_null(issued[i]);
	}
	assert_null(cancel_keys_issue(rig->limits.cancel_keys, 5, &target, key));
	assert_false(leads_to(rig, span_of(key, 8), NULL, "abcd1234"));
	assert_true(leads_to(rig, span_of(first, 8), NULL, "abcd1234"));
	for (unsigned i = 0; i < MAX; i++)
		cancel_keys_withdraw(rig->limits.cancel_keys, issued[i]);
	assert_false(leads_to(rig, span_of(first, 8), NULL, "abcd1234"));
	routes_unref(target.routes);
	free(issued);
}

struct thread {
	pthread_t id;
	const struct rig *rig;
	unsigned part;
};

static void *issue_and_withdraw(void *arg)
{
	const struct thread *thread = arg;
	struct cancel_keys *keys = thread->rig->limits.cancel_keys;
	struct cancel_target target = make_target(thread->rig, "a.test", "abcd1234");
	uint8_t key[8];
	for (unsigned i = 0; i < 20000; i++) {
		routes_ref(target.routes);
		struct cancel_key *issued = cancel_keys_issue(keys, thread->part, &target, key);
		if (!issued || !leads_to(thread->rig, span_of(key, 8), NULL, "abcd1234"))
			return arg;
		cancel_keys_withdraw(keys, issued);
	}
	routes_unref(target.routes);
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	struct thread threads[4];
	for (unsigned i = 0; i < 4; i++) {
		threads[i] = (struct thread){.rig = rig_of(state), .part = i % 2};
		assert_int_equal(
			pthread_create(&threads[i].id, NULL, issue_and_withdraw, &threads[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		void *failed = NULL;
		pthread_join(threads[i].id, &failed);
		assert_null(failed);
	}
}

/* Its session leaves a snapshot that has been replaced, and so does the key. */
static void a_key_moves_to_a_kept_route(void **state)
{
	struct rig *rig = rig_of(state);
	struct routes *before = routes_ref(rig->service.routes);
	struct route *route = route_of(rig, "a.test"), *kept, *again;
	uint8_t key[8];
	struct cancel_key *issued = issue(rig, "a.test", "abcd1234", key);
	struct routes *mine = routes_keep(rig->limits.route_stats, before, route, &kept);
	rig_load(rig,
		"\"hosts\": {\"b.test\": {\"mode\": \"passthrough\", \"backend\": "
		"\"127.0.0.1:2\"}}");
	cancel_keys_move(rig->limits.cancel_keys, issued, mine, kept);
	assert_true(routes_is_kept(mine) && !routes_is_kept(before));
	assert_ptr_equal(routes_keep(rig->limits.route_stats, before, route, &again), mine);
	assert_ptr_equal(again, kept);
	routes_unref(mine);
	assert_true(routes_is_unused(before));
	routes_unref(before);
	assert_true(leads_to(rig, span_of(key, 8), kept, "abcd1234"));
	assert_string_equal(kept->host, "a.test");
	assert_string_equal(kept->backend->servers[0].text, "127.0.0.1:1");
	routes_unref(mine);
	cancel_keys_withdraw(rig->limits.cancel_keys, issued);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_leads_to_the_servers),
		TEST(another_key_leads_nowhere),
		TEST(a_key_may_be_of_a_route),
		TEST(the_table_is_bounded),
		TEST(a_key_moves_to_a_kept_route),
		TEST(threads_do_not_disturb_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
