/* A fatal alert, byte for byte, and its name in the log. */
#include "wire/alert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h> /* needs those before it */

static void is_one_fatal_record(void **state)
{
	(void)state;
	static const uint8_t expected[ALERT_SIZE] = {21, 3, 3, 0, 2, 2, 112};
	uint8_t record[ALERT_SIZE];
	alert_encode(ALERT_UNRECOGNIZED_NAME, record);
	assert_memory_equal(record, expected, ALERT_SIZE);
}

static void has_the_name_of_its_rfc(void **state)
{
	(void)state;
	assert_string_equal(alert_name(ALERT_HANDSHAKE_FAILURE), "handshake_failure");
	assert_string_equal(alert_name(ALERT_ILLEGAL_PARAMETER), "illegal_parameter");
	assert_string_equal(alert_name(ALERT_DECODE_ERROR), "decode_error");
	assert_string_equal(alert_name(ALERT_INTERNAL_ERROR), "internal_error");
	assert_string_equal(alert_name(ALERT_UNRECOGNIZED_NAME), "unrecognized_name");
	assert_string_equal(alert_name(ALERT_NO_APPLICATION_PROTOCOL), "no_application_protocol");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_one_fatal_record),
		cmocka_unit_test(has_the_name_of_its_rfc),
	};
	return cmocka_run_group_tests_name("alert", tests, NULL, NULL);
}
