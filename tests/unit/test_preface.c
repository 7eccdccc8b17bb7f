/* Which prefaces get along in front and behind: a greeting is sent once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "preface/preface.h"

static void a_greeting_in_front_needs_the_same_behind(void **state)
{
	static const struct preface greets = {.name = "greets", .speaks_first = true};
	static const struct preface other = {.name = "other", .speaks_first = true};
	static const struct preface silent = {.name = "silent"};
	(void)state;
	assert_true(preface_fits(&greets, &greets, false));
	assert_false(preface_fits(&greets, &other, false));
	assert_false(preface_fits(&greets, &silent, false));
	assert_false(preface_fits(&greets, NULL, false));
	assert_false(preface_fits(NULL, &greets, false));
	assert_false(preface_fits(&silent, &greets, false));
}

/* The greeting of the front is not the server's, and a login goes by it. */
static void a_login_by_the_greeting_is_not_passed_through(void **state)
{
	static const struct preface *mysql;
	(void)state;
	mysql = preface_find("mysql");
	assert_true(preface_fits(mysql, mysql, true));
	assert_true(preface_fits(mysql, NULL, true));
	assert_false(preface_fits(mysql, mysql, false));
	assert_false(preface_fits(mysql, NULL, false));
	assert_false(preface_fits(NULL, mysql, true));
	assert_false(preface_fits(NULL, mysql, false));
}

static void without_greetings_the_ends_are_independent(void **state)
{
	static const struct preface one = {.name = "one"}, other = {.name = "other"};
	(void)state;
	assert_true(preface_fits(NULL, NULL, false));
	assert_true(preface_fits(&one, NULL, false));
	assert_true(preface_fits(NULL, &one, false));
	assert_true(preface_fits(&one, &other, false));
}

static void a_call_has_its_maximum(void **state)
{
	static const struct preface own = {.name = "own", .heard_max = 8}, none = {.name = "none"};
	(void)state;
	assert_int_equal(preface_heard_max(&own), 8);
	assert_int_equal(preface_heard_max(&none), PREFACE_HEARD_MAX);
}

/* A sanitizer's build complains of memory that is not there, even for no bytes. */
static void nothing_needs_no_memory(void **state)
{
	struct buf none = {0};
	(void)state;
	preface_say(&none, "", 0);
	preface_say(&none, "more", 4);
	assert_int_equal(buf_used(&none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_in_front_needs_the_same_behind),
		cmocka_unit_test(a_login_by_the_greeting_is_not_passed_through),
		cmocka_unit_test(without_greetings_the_ends_are_independent),
		cmocka_unit_test(a_call_has_its_maximum),
		cmocka_unit_test(nothing_needs_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
