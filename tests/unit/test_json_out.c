#include "base/json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void json_has_its_commas_and_escapes(void **state)
{
	struct strbuf text = {0};
	struct json_out out = {.text = &text};
	(void)state;
	json_out_object(&out, NULL);
	json_out_text(&out, "a", "x\"\\\n\x7f\xc3\xa9\xff\xed\xa0\x80\xe2\x80\xae");
	json_out_text(&out, "b", NULL);
	json_out_list(&out, "list");
	json_out_number(&out, NULL, -1);
	json_out_flag(&out, NULL, true);
	json_out_object(&out, NULL);
	json_out_close(&out);
	json_out_text(&out, NULL, "[");
	json_out_real(&out, NULL, 1.5);
	json_out_close(&out);
	json_out_date(&out, "d", 86399);
	json_out_bytes(&out, "e", span_of("\0a\xe9\x85", 4));
	json_out_close(&out);
	assert_string_equal(text.at,
		"{\"a\":\"x\\\"\\\\\\n\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		"\\u202e\",\"b\":null,\"list\":[-1,true,{},\"[\",1.500],"
		"\"d\":\"1970-01-01T23:59:59Z\",\"e\":\"\\u0000a\xc3\xa9\\u0085\"}");
	strbuf_finish(&text);
}

static void text_that_ends_in_a_bracket_changes_nothing(void **state)
{
	struct strbuf text = {0};
	struct json_out out = {.text = &text};
	(void)state;
	json_out_list(&out, NULL);
	strbuf_append(&text, " [", 2);
	strbuf_append(&text, "] ", 2);
	json_out_number(&out, NULL, 1);
	strbuf_append(&text, " ", 1);
	json_out_number(&out, NULL, 2);
	json_out_close(&out);
	assert_string_equal(text.at, "[ [] 1 ,2]");
	strbuf_finish(&text);
}

static void one_writer_takes_over_what_another_wrote(void **state)
{
	struct strbuf text = {0}, members = {0}, nothing = {0}, failed = {.failed = true};
	struct json_out out = {.text = &text}, member_out = {.text = &members};
	(void)state;
	json_out_number(&member_out, "x", 1);
	json_out_number(&member_out, "y", 2);
	json_out_object(&out, NULL);
	json_out_raw(&out, NULL, &members);
	json_out_raw(&out, NULL, &nothing);
	json_out_list(&out, "list");
	json_out_raw(&out, NULL, &nothing);
	json_out_number(&out, NULL, 3);
	json_out_close(&out);
	strbuf_finish(&members);
	strbuf_append(&members, "[]", 2);
	json_out_raw(&out, "raw", &members);
	json_out_close(&out);
	assert_string_equal(text.at, "{\"x\":1,\"y\":2,\"list\":[3],\"raw\":[]}");
	assert_false(text.failed);
	json_out_raw(&out, NULL, &failed);
	assert_true(text.failed);
	strbuf_finish(&members);
	strbuf_finish(&text);
}

static void levels_close_as_they_were_opened(void **state)
{
	struct strbuf text = {0};
	struct json_out out = {.text = &text};
	(void)state;
	for (int i = 0; i < 32; i++) {
		json_out_list(&out, NULL);
		json_out_object(&out, NULL);
		json_out_list(&out, "a");
		json_out_close(&out);
		json_out_text(&out, "b", "");
		json_out_close(&out);
		if (i == 0)
			assert_string_equal(text.at, "[{\"a\":[],\"b\":\"\"}");
	}
	for (int i = 0; i < 32; i++)
		json_out_close(&out);
	assert_memory_equal(text.at + text.len - 33, "}]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 33);
	strbuf_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_its_commas_and_escapes),
		cmocka_unit_test(text_that_ends_in_a_bracket_changes_nothing),
		cmocka_unit_test(one_writer_takes_over_what_another_wrote),
		cmocka_unit_test(levels_close_as_they_were_opened),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
