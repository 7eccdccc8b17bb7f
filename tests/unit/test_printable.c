/* What a terminal gets. */
#include "base/printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *expected)
{
	char *out = NULL;
	size_t len = 0, width = 0;
	FILE *file = open_memstream(&out, &len);
	print_escaped(file, text);
	fclose(file);
	assert_string_equal(out, expected);
	for (size_t i = 0; i < len; i++)
		width += (out[i] & 0xc0) != 0x80;
	assert_int_equal(escaped_width(text), width);
	free(out);
}

static void text_stands_as_it_is(void **state)
{
	(void)state;
	check("", "");
	check("app.test: two\nlines", "app.test: two\nlines");
	check("m\xc3\xbcnchen \xe6\x97\xa5\xe6\x9c\xac", "m\xc3\xbcnchen \xe6\x97\xa5\xe6\x9c\xac");
}

static void control_characters_are_escaped(void **state)
{
	(void)state;
	check("a\x1b[2Jb\x07\t\x7f", "a\\x1b[2Jb\\x07\\x09\\x7f");
	check("\xc2\x9b"
	      "2J",
		"\\u009b2J"); /* CSI of C1 */
	check("\x9b"
	      "2J\xff",
		"\\x9b2J\\xff"); /* and as a byte */
	check("\xe2\x80\xae"
	      "x\xe2\x81\xa9",
		"\\u202ex\\u2069"); /* direction */
	check("\xd8\x9c\xe2\x80\xa8\xef\xbb\xbf", "\\u061c\\u2028\\ufeff");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stands_as_it_is),
		cmocka_unit_test(control_characters_are_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
