/* Which refusals are logged one by one. */
#include "session/log_ratelimit.h"

#include "net/loop_ctx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct log_ratelimit limit;

static int set_up(void **state)
{
	struct err err;
	(void)state;
	log_ratelimit_init(&limit, loop_ctx_loop_create(&err));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_ratelimit_finish(&limit);
	ev_loop_destroy(limit.loop);
	return 0;
}

/* How many of `count` that are alike, or differ in their name or identity, are logged. */
static unsigned logged(enum refusal_class class, unsigned count, bool names, bool identities)
{
	unsigned admitted = 0;
	for (unsigned i = 0; i < count; i++) {
		char name[32] = "app.test", identity[32] = "";
		if (names)
			snprintf(name, sizeof name, "made-up-%u.test", i);
		if (identities)
			snprintf(identity, sizeof identity, "CN=%u", i);
		struct log_refusal refusal = {class, "refused", name, identity};
		admitted += log_ratelimit_admits(&limit, &refusal);
	}
	return admitted;
}

static void repeats_are_counted(void **state)
{
	(void)state;
	assert_int_equal(logged(REFUSAL_ANONYMOUS, 20, false, false), 5);
	assert_int_equal(logged(REFUSAL_IDENTIFIED, 20, false, false), 5);
}

static void made_up_names_share_their_last_place(void **state)
{
	(void)state;
	assert_int_equal(logged(REFUSAL_ANONYMOUS, 1000, true, false), LOG_RATELIMIT_KINDS + 4);
}

static void anonymous_noise_hides_nothing_else(void **state)
{
	(void)state;
	logged(REFUSAL_ANONYMOUS, 1000, true, false);
	logged(REFUSAL_CERTIFICATE, 1000, false, true);
	assert_int_equal(logged(REFUSAL_IDENTIFIED, 5, false, false), 5);
	assert_int_equal(logged(REFUSAL_OURS, 5, false, false), 5);
}

static void certificates_that_are_made_up_share_a_budget(void **state)
{
	(void)state;
	logged(REFUSAL_ANONYMOUS, 1000, true, false);
	assert_int_equal(logged(REFUSAL_CERTIFICATE, 1000, false, true), LOG_RATELIMIT_KINDS + 4);
}

static void identified_clients_are_never_folded_together(void **state)
{
	(void)state;
	assert_int_equal(logged(REFUSAL_IDENTIFIED, 1000, false, true), 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(repeats_are_counted),
		TEST(made_up_names_share_their_last_place),
		TEST(anonymous_noise_hides_nothing_else),
		TEST(certificates_that_are_made_up_share_a_budget),
		TEST(identified_clients_are_never_folded_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
