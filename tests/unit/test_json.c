/* The scanner: the grammar of RFC 8259 and nothing more, where it stops, what it hands out. */
#include "base/json_scan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those before it */

/* In memory of just its size, so that a sanitizer sees a read behind the end. */
static bool scan(const char *text, size_t len, struct json *json)
{
	char *copy = malloc(len ? len : 1);
	size_t end;
	assert_non_null(copy);
	memcpy(copy, text, len);
	bool ok = json_begin(json, copy, len) && json_skip(json, &end) && json_end(json);
	free(copy);
	assert_int_equal(ok, !json->failed);
	return ok;
}

static void assert_sound(const char *text)
{
	struct json json;
	if (!scan(text, strlen(text), &json))
		fail_msg("%s: %s", text, json.fault.text);
}

static void assert_fault(const char *text, size_t at, const char *fault)
{
	struct json json;
	assert_false(scan(text, strlen(text), &json));
	assert_string_equal(json.fault.text, fault);
	assert_int_equal(json.fault_at, at);
}

static void takes_every_value(void **state)
{
	static const char *const texts[] = {"{}", "[]", "\"\"", "0", "-0", "10", "1.5", "-1.25e+10",
		"1E5", "1e-5", "true", "false", "null", " \t\r\n1 \t\r\n", "[1,2 , 3]",
		"{\"a\":1,\"b\":{\"c\":[]}}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
		"\"\\ud83d\\ude00\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "{\"\":{}}",
		"\"\x7f\""};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_sound(texts[i]);
}

static void tells_what_was_expected_and_where(void **state)
{
	(void)state;
	assert_fault("", 0, "expected a value, got the end of the file");
	assert_fault("1 2", 2, "expected the end of the file, got \"2\"");
	assert_fault("[1,]", 3, "expected a value, got \"]\"");
	assert_fault("[,1]", 1, "expected a value, got \",\"");
	assert_fault("[1", 2, "expected \",\" or \"]\", got the end of the file");
	assert_fault("[1}", 2, "expected \",\" or \"]\", got \"}\"");
	assert_fault("{1:2}", 1, "expected a name in double quotes, got \"1\"");
	assert_fault("{\"a\"}", 4, "expected \":\" after a name, got \"}\"");
	assert_fault("{\"a\":}", 5, "expected a value, got \"}\"");
	assert_fault("{\"a\":1,}", 7, "expected a name in double quotes, got \"}\"");
	assert_fault("{\"a\":1 \"b\":2}", 7, "expected \",\" or \"}\", got a string");
	assert_fault("01", 1, "expected the end of the file, got \"1\"");
	assert_fault("-", 1, "expected a digit, got the end of the file");
	assert_fault("1.", 2, "expected a digit, got the end of the file");
	assert_fault("1e+", 3, "expected a digit, got the end of the file");
	assert_fault("+1", 0, "expected a value, got \"+\"");
	assert_fault("True", 0, "expected a value, got \"T\"");
	assert_fault("nul", 0, "expected a value, got \"n\"");
	assert_fault("nulls", 4, "expected the end of the file, got \"s\"");
	assert_fault("'a'", 0, "expected a value, got \"'\"");
	assert_fault("// x", 0, "expected a value, got \"/\" (JSON has no comments)");
	assert_fault("\f1", 0, "expected a value, got byte 0x0C");
	assert_fault("\"ab", 0, "this string is never closed");
	assert_fault("\"ab\\", 3, "expected one of \" \\ / b f n r t u after a backslash");
	assert_fault("\"\\'\"", 1, "expected one of \" \\ / b f n r t u after a backslash");
	assert_fault("\"a\tb\"", 2,
		"a raw control character (byte 0x09) in a string: is its closing quote missing?");
}

static void refuses_what_is_no_character(void **state)
{
	(void)state;
	assert_fault("\"\\u0000\"", 1, "\"\\u0000\" is not allowed in a string");
	assert_fault("\"\\u12g4\"", 1, "expected four hexadecimal digits after \"\\u\"");
	assert_fault("\"\\u12", 1, "expected four hexadecimal digits after \"\\u\"");
	assert_fault("\"\\ud800\"", 1, "half of a surrogate pair in a string");
	assert_fault("\"\\ud800\\u0041\"", 1, "half of a surrogate pair in a string");
	assert_fault("\"\\ud800\\ud800\"", 1, "half of a surrogate pair in a string");
	assert_fault("\"\\udc00\"", 1, "half of a surrogate pair in a string");
	assert_fault("\xef\xbb\xbf{}", 0,
		"the file begins with a byte order mark: save it as UTF-8 without one");
}

static void refuses_what_is_no_utf8(void **state)
{
	static const char *const texts[] = {"\"\x80\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xc3\"",
		"\"\xe0\x9f\xbf\"", "\"\xed\xa0\x80\"", "\"\xf0\x8f\xbf\xbf\"",
		"\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xff\"", "\"\xe2\x82\"",
		"\"\xe2\x82", "\"\xf0\x9f\x98"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_fault(texts[i], 1, "the file is not UTF-8");
}

static void refuses_a_nul_byte(void **state)
{
	struct json json;
	(void)state;
	assert_false(scan("1\0", 2, &json));
	assert_string_equal(json.fault.text, "expected the end of the file, got byte 0x00");
	assert_false(scan("\"\0\"", 3, &json));
	assert_false(scan("\"\\\0\"", 4, &json));
}

static void bounds_the_depth(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 3];
	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	text[2 * JSON_DEPTH_MAX] = '\0';
	assert_sound(text);
	memset(text, '[', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_fault(text, JSON_DEPTH_MAX, "nested deeper than 64 levels");
}

static void refuses_every_beginning_of_a_document(void **state)
{
	static const char text[] =
		"{\"a\": [1.5e3, true, null, \"\\u00e9\\ud83d\\ude00 \xe2\x82\xac\"], \"b\": {}}";
	struct json json;
	(void)state;
	assert_true(scan(text, sizeof text - 1, &json));
	for (size_t len = 0; len < sizeof text - 1; len++)
		assert_false(scan(text, len, &json));
}

static void hands_out_members_where_they_stand(void **state)
{
	static const char text[] = " { \"a\" : [1, {}] ,\n\"\\u0062\":2}";
	struct json json;
	struct json_member member;
	size_t end;
	(void)state;
	assert_true(json_begin(&json, text, strlen(text)));
	assert_true(json_enter(&json));
	assert_true(json_next(&json, &member));
	assert_int_equal(member.at, 3);
	assert_int_equal(member.name_len, 1);
	assert_memory_equal(member.name, "a", 1);
	assert_int_equal(json_peek(&json), '[');

	assert_true(json_enter(&json));
	assert_true(json_next(&json, &member));
	assert_null(member.name);
	assert_int_equal(member.at, 10);
	assert_true(json_skip(&json, &end));
	assert_int_equal(end, 11);
	assert_true(json_next(&json, &member));
	assert_true(json_skip(&json, &end));
	assert_false(json_next(&json, &member));

	assert_true(json_next(&json, &member));
	assert_int_equal(member.name_len, 6);
	assert_int_equal(json_peek(&json), '2');
	assert_true(json_skip(&json, &end));
	assert_false(json_next(&json, &member));
	assert_true(json_end(&json));
	assert_false(json.failed);
}

static void stops_for_good(void **state)
{
	struct json json;
	struct json_member member;
	size_t end;
	(void)state;
	assert_true(json_begin(&json, "[x, 1]", 6));
	assert_true(json_enter(&json));
	assert_true(json_next(&json, &member));
	assert_false(json_skip(&json, &end));
	assert_false(json_next(&json, &member));
	assert_false(json_enter(&json));
	assert_false(json_skip(&json, &end));
	assert_false(json_end(&json));
	assert_int_equal(json.fault_at, 1);
}

static void decodes_strings(void **state)
{
	static const char raw[] = "a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9\\u20ac\\ud83d\\ude00z";
	char out[sizeof raw];
	(void)state;
	json_decode(raw, strlen(raw), out);
	assert_string_equal(out, "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
	json_decode("", 0, out);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_value),
		cmocka_unit_test(tells_what_was_expected_and_where),
		cmocka_unit_test(refuses_what_is_no_character),
		cmocka_unit_test(refuses_what_is_no_utf8),
		cmocka_unit_test(refuses_a_nul_byte),
		cmocka_unit_test(bounds_the_depth),
		cmocka_unit_test(refuses_every_beginning_of_a_document),
		cmocka_unit_test(hands_out_members_where_they_stand),
		cmocka_unit_test(stops_for_good),
		cmocka_unit_test(decodes_strings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
