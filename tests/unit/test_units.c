/* Durations and sizes: what is taken, and that anything else leaves the result alone. */
#include "base/units.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h> /* needs those before it */

#define UNTOUCHED 4711

struct sample {
	const char *text;
	uint64_t value;
};

static void takes_durations(void **state)
{
	static const struct sample samples[] = {{"0", 0}, {"0s", 0}, {"250ms", 250}, {"10s", 10000},
		{"5m", 300000}, {"1h", 3600000}, {"7d", 604800000}, {"007s", 7000},
		{"18446744073709551615ms", UINT64_MAX}};
	(void)state;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		uint64_t ms = UNTOUCHED;
		assert_true(units_duration_ms(samples[i].text, &ms));
		assert_true(ms == samples[i].value);
	}
}

static void refuses_what_is_no_duration(void **state)
{
	static const char *const texts[] = {"", "10", "00", "s", "ms", "-1s", "+1s", "1.5h", " 1s",
		"1s ", "1 s", "1S", "1sec", "1m30s", "1us", "0x1s", "18446744073709551616ms",
		"18446744073709551615s", "99999999999999999999d"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		uint64_t ms = UNTOUCHED;
		assert_false(units_duration_ms(texts[i], &ms));
		assert_true(ms == UNTOUCHED);
	}
}

static void takes_sizes(void **state)
{
	static const struct sample samples[] = {{"0", 0}, {"512", 512}, {"512B", 512},
		{"64KiB", 65536}, {"1MiB", 1048576}, {"4GiB", 4294967296}};
	(void)state;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		uint64_t size = UNTOUCHED;
		assert_true(units_size(samples[i].text, &size));
		assert_true(size == samples[i].value);
	}
}

static void refuses_what_is_no_size(void **state)
{
	static const char *const texts[] = {"", "B", "KiB", "1KB", "1k", "1kib", "1 KiB", "-1",
		"1.5MiB", "1TiB", "18446744073709551616", "17179869184GiB"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		uint64_t size = UNTOUCHED;
		assert_false(units_size(texts[i], &size));
		assert_true(size == UNTOUCHED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_durations),
		cmocka_unit_test(refuses_what_is_no_duration),
		cmocka_unit_test(takes_sizes),
		cmocka_unit_test(refuses_what_is_no_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
