/* The texts of the administrator's side: what is written, what is asked, what is printed. */
#include "base/strbuf.h"
#include "cli/ctl_print.h"
#include "control/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_label_cannot_leave_its_quotes(void **state)
{
	struct strbuf text = {0};
	(void)state;
	strbuf_label(&text, "a\"b\\c\nd\xff");
	assert_string_equal(text.at, "\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"");
	strbuf_finish(&text);
}

static bool parses(const char *line, struct request *request)
{
	struct err err;
	request_finish(request);
	return request_parse(request, line, strlen(line), &err);
}

static void requests_are_objects_of_plain_values(void **state)
{
	struct request request = {0};
	struct err err;
	(void)state;
	assert_true(
		parses("{ \"command\" : \"kill\", \"all\": true ,\"id\": 17, \"x\":\"\\u00e9\" }",
			&request));
	assert_string_equal(request_text(&request, "command"), "kill");
	assert_true(request_flag(&request, "all"));
	assert_string_equal(request_text(&request, "id"), "17");
	assert_string_equal(request_text(&request, "x"), "\xc3\xa9");
	assert_null(request_text(&request, "y"));
	assert_true(request_has_only(&request, "all id x", &err));
	assert_false(request_has_only(&request, "all id xx", &err));
	assert_false(request_has_only(&request, "", &err));
	assert_false(parses("", &request));
	assert_false(parses("kill", &request));
	assert_false(parses("[]", &request));
	assert_false(parses("{\"a\":{}}", &request));
	assert_false(parses("{\"a\":[1]}", &request));
	assert_false(parses("{\"a\":1} x", &request));
	assert_false(parses("{\"a\":1", &request));
	assert_false(parses("{\"a\":", &request));
	assert_false(
		parses("{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,"
		       "\"a\":1,\"b\":1,\"c\":1,\"d\":1}",
			&request));
	request_finish(&request);
}

static char *printed(const char *line)
{
	char *out = NULL;
	size_t size;
	FILE *file = open_memstream(&out, &size);
	ctl_print(file, line, strlen(line));
	fclose(file);
	return out;
}

static void answers_are_pairs_and_tables(void **state)
{
	char *text = printed("{\"ok\":true,\"in_use\":3,\"up\":1536,\"rows\":["
			     "{\"name\":\"a\\u001b\",\"down\":1,\"list\":[\"x\",\"y\"]},"
			     "{\"name\":\"longer\",\"more\":null,\"down\":5242880,\"list\":[]}],"
			     "\"part\":{\"is_it\":false},\"errors\":[\"one\",\"two\"]}");
	(void)state;
	assert_string_equal(text,
		"in use: 3\n"
		"up: 1.5K\n"
		"name    down  list  more\n"
		"a\\x1b   1     x,y   -\n"
		"longer  5.0M  -     -\n"
		"part:\n"
		"  is it: no\n"
		"errors:\n"
		"  one\n"
		"  two\n");
	free(text);
}

static void answers_are_judged(void **state)
{
	struct ctl_answer answer;
	struct err err;
	const char *line = "{\"ok\":false,\"error\":\"why \\\"not\\\"\",\"rest\":[{}]}";
	(void)state;
	assert_true(ctl_answer_parse(line, strlen(line), &answer, &err));
	assert_false(answer.ok);
	assert_string_equal(answer.error, "why \"not\"");
	free(answer.error);
	assert_true(ctl_answer_parse("{\"ok\":true}", 11, &answer, &err));
	assert_true(answer.ok);
	assert_null(answer.error);
	for (size_t len = 0; len < strlen(line); len++)
		assert_false(ctl_answer_parse(line, len, &answer, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_cannot_leave_its_quotes),
		cmocka_unit_test(requests_are_objects_of_plain_values),
		cmocka_unit_test(answers_are_pairs_and_tables),
		cmocka_unit_test(answers_are_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
