#include "base/utf8.h"

#include "base/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void every_character_reads_back(void **state)
{
	uint32_t points = 0;
	(void)state;
	for (uint32_t point = 0; point <= 0x10ffff; point++) {
		char text[UTF8_MAX];
		uint32_t back;
		if (point == 0xd800)
			point = 0xe000;
		size_t len = utf8_encode(point, text);
		assert_int_equal(utf8_decode(span_of(text, len), &back), len);
		assert_int_equal(back, point);
		if (len > 1)
			assert_int_equal(utf8_decode(span_of(text, len - 1), &back), 0);
		points++;
	}
	assert_int_equal(points, 0x110000 - 0x800);
}

/* Of all sequences of two and of three bytes, as many are valid as there are characters. */
static void nothing_else_is_valid(void **state)
{
	unsigned two = 0, three = 0;
	(void)state;
	for (uint32_t bytes = 0; bytes < 0x1000000; bytes++) {
		const uint8_t text[] = {
			(uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8), (uint8_t)bytes};
		uint32_t point;
		two += bytes < 0x10000 && utf8_decode(span_of(text + 1, 2), &point) == 2;
		three += utf8_decode(span_of(text, 3), &point) == 3;
	}
	assert_int_equal(two, 0x800 - 0x80);
	assert_int_equal(three, 0x10000 - 0x800 - 0x800);
}

static void texts_are_valid_as_a_whole(void **state)
{
	static const char *const invalid[] = {"\xff", "a\xc0\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x8f\xbf\xbf", "a\xe2\x82", "\x80"};
	(void)state;
	assert_true(utf8_is_valid(span_of("", 0)));
	assert_true(utf8_is_valid(span_of("a\0b", 3)));
	assert_true(utf8_is_valid(span_of_string("\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xaa")));
	for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
		assert_false(utf8_is_valid(span_of_string(invalid[i])));
}

static void dates_are_in_utc(void **state)
{
	char date[DATE_SIZE];
	(void)state;
	date_write(86399, date);
	assert_string_equal(date, "1970-01-01T23:59:59Z");
	date_write(253402300800, date);
	assert_string_equal(date, "10000-01-01T00:00:00Z");
	date_write((time_t)1 << 62, date);
	assert_string_equal(date, "4611686018427387904");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_reads_back),
		cmocka_unit_test(nothing_else_is_valid),
		cmocka_unit_test(texts_are_valid_as_a_whole),
		cmocka_unit_test(dates_are_in_utc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
