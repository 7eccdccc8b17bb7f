/* Limits on handshakes: how many at once, how many begin in a second, and that nobody is forgotten or overtaken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "session/handshakes.h"
#include "session/least_rate.h"
#include "session_rig.h"

#define HOSTS "\"hosts\": {\"a.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"}}"

static struct session *begun[64];
static unsigned begun_count;

static struct rig *rig_with(const char *limits)
{
	char config[512];
	snprintf(config, sizeof config, "\"proxy\": {%s}, " HOSTS, limits);
	begun_count = 0;
	return rig_create(config);
}

static enum step_result step_enter(struct session *session)
{
	if (session_enters_step(session))
		session->at.handshake.place = (struct handshake_place){0};
	if (session->at.handshake.place.at != HANDSHAKE_ACTIVE && handshakes_enter(session))
		begun[begun_count++] = session;
	return STEP_WAIT;
}

static const struct step steps[] = {{"enter", step_enter, handshakes_leave}, {0}};

static struct session *enter(struct rig *rig)
{
	return rig_start(rig, steps);
}

static void finish(struct session *session)
{
	session_end(session, END_KILLED, "killed");
}

static unsigned waiting(const struct rig *rig)
{
	assert_int_equal(counter_get(&rig->service.counters->handshakes_waiting),
		rig->service.handshakes.waiting);
	return rig->service.handshakes.waiting;
}

static void without_limits_all_begin(void **state)
{
	struct rig *rig = rig_with("");
	(void)state;
	for (unsigned i = 0; i < 50; i++)
		enter(rig);
	assert_int_equal(begun_count, 50);
	assert_int_equal(rig->service.handshakes.active, 50);
	rig_destroy(rig);
}

static void who_comes_too_many_waits_in_order(void **state)
{
	struct rig *rig = rig_with("\"max_handshakes\": 2");
	struct session *all[5];
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		all[i] = enter(rig);
	assert_int_equal(begun_count, 2);
	assert_int_equal(waiting(rig), 3);
	finish(all[3]); /* in the middle of the queue */
	assert_int_equal(waiting(rig), 2);
	finish(all[0]);
	rig_run_until(rig, begun_count == 3);
	assert_ptr_equal(begun[2], all[2]);
	finish(all[1]);
	rig_run_until(rig, begun_count == 4);
	assert_ptr_equal(begun[3], all[4]);
	assert_int_equal(waiting(rig), 0);
	assert_int_equal(rig->service.handshakes.active, 2);
	finish(all[2]);
	finish(all[4]);
	assert_int_equal(rig->service.handshakes.active, 0);
	rig_destroy(rig);
}

/* A newcomer does not overtake those that are about to be woken. */
static void a_newcomer_waits_behind_the_others(void **state)
{
	struct rig *rig = rig_with("\"max_handshakes\": 1");
	struct session *first = enter(rig), *second = enter(rig);
	(void)state;
	finish(first);
	struct session *third = enter(rig);
	assert_int_equal(begun_count, 1);
	rig_run_until(rig, begun_count == 2);
	assert_ptr_equal(begun[1], second);
	finish(second);
	rig_run_until(rig, begun_count == 3);
	assert_ptr_equal(begun[2], third);
	rig_destroy(rig);
}

static void shares_are_rounded_up(void **state)
{
	struct rig *rig = rig_with("\"max_handshakes\": 5");
	(void)state;
	rig->limits.workers = 4;
	for (unsigned i = 0; i < 5; i++)
		enter(rig);
	assert_int_equal(begun_count, 2);
	rig_destroy(rig);
}

static void so_many_begin_in_a_second(void **state)
{
	struct rig *rig = rig_with("\"handshake_rate\": 20");
	(void)state;
	for (unsigned i = 0; i < 40; i++)
		enter(rig);
	assert_int_equal(begun_count, 20); /* the burst */
	assert_int_equal(waiting(rig), 20);
	uint64_t started_us = clock_now_us();
	rig_run_until(rig, begun_count == 30);
	assert_true(clock_now_us() - started_us >= 400000);
	assert_int_equal(waiting(rig), 10);
	rig_destroy(rig);
}

static void a_reload_may_lift_the_limit(void **state)
{
	struct rig *rig = rig_with("\"max_handshakes\": 1");
	(void)state;
	struct session *first = enter(rig);
	rig_load(rig, HOSTS);
	enter(rig);
	assert_int_equal(begun_count, 2); /* it came under the new one, and nobody waits */
	finish(first);
	rig_destroy(rig);
}

/* The least rate. */

static struct session *start_relay(struct rig *rig)
{
	static struct relay relay;
	struct session *session = rig_start(rig, rig_wait_steps);
	relay = (struct relay){0};
	session->forwarding = calloc(1, sizeof *session->forwarding);
	session->relay = &relay;
	return session;
}

static void end_relay(struct session *session)
{
	session->relay = NULL;
	finish(session);
}

static void who_takes_too_little_is_too_slow(void **state)
{
	struct rig *rig = rig_with("\"min_rate\": 100");
	struct session *session = start_relay(rig);
	struct relay *relay = session->relay;
	(void)state;
	least_rate_begin(session);
	relay->down.state = PUMP_NEEDS_OUTPUT;
	assert_null(least_rate_breach(session)); /* it may have begun to wait just now */
	relay->down.bytes = 1000;
	assert_null(least_rate_breach(session));
	relay->down.bytes = 1999;
	assert_string_equal(least_rate_breach(session), "client: slower than min_rate");
	relay->down.state = PUMP_NEEDS_INPUT; /* idle */
	assert_null(least_rate_breach(session));
	assert_null(least_rate_breach(session));
	relay->up.state = PUMP_NEEDS_OUTPUT;
	assert_null(least_rate_breach(session));
	assert_string_equal(least_rate_breach(session), "upstream: slower than min_rate");
	end_relay(session);
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_limits_all_begin),
		cmocka_unit_test(who_comes_too_many_waits_in_order),
		cmocka_unit_test(a_newcomer_waits_behind_the_others),
		cmocka_unit_test(shares_are_rounded_up),
		cmocka_unit_test(so_many_begin_in_a_second),
		cmocka_unit_test(a_reload_may_lift_the_limit),
		cmocka_unit_test(who_takes_too_little_is_too_slow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
