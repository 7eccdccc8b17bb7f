/*
 * What is wrong in a configuration, and the line that tells it. The cases are in
 * tests/unit/data/config_errors.txt, and below where a line of text cannot hold them.
 */
#include "config/config_read.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h> /* needs those before it */

#define CASES     "tests/unit/data/config_errors.txt"
#define CASES_MIN 200

struct check {
	const char *text;
	const char *errors; /* each ends in a newline */
};

struct told {
	char text[65536];
	size_t len;
};

static void add(struct told *told, const char *text)
{
	size_t len = strlen(text);
	assert_true(len + 2 < sizeof told->text - told->len);
	memcpy(told->text + told->len, text, len);
	memcpy(told->text + told->len + len, "\n", 2);
	told->len += len + 1;
}

static void tell(struct report *report, enum severity severity, const char *text)
{
	assert_int_equal(severity, SEVERITY_ERROR);
	add(report->owner, text);
}

static void clear(struct told *told)
{
	told->len = 0;
	told->text[0] = '\0';
}

static void put_file(const char *text)
{
	FILE *file = fopen("config.json", "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* The directory differs from run to run. */
static void hide_directory(struct told *told)
{
	char here[1024];
	assert_non_null(getcwd(here, sizeof here));
	for (char *at = told->text; (at = strstr(at, here));) {
		*at = '@';
		memmove(at + 1, at + strlen(here), strlen(at + strlen(here)) + 1);
	}
}

static void check_one(const char *text, const char *errors)
{
	static struct told told;
	struct report report = {.on_finding = tell, .owner = &told};
	clear(&told);
	put_file(text);
	struct config *config = config_read("config.json", NULL, NULL, &report);
	hide_directory(&told);
	if (strcmp(told.text, errors) != 0)
		print_error("of %s\n", text);
	assert_string_equal(told.text, errors);
	assert_null(config);
}

struct cases {
	char around[4096], text[4096];
	bool has_text;
	struct told expected;
	unsigned count;
};

static void check_case(struct cases *cases)
{
	char whole[8192];
	const char *hole = strchr(cases->around, '$');
	if (!cases->has_text)
		return;
	assert_non_null(hole);
	snprintf(whole, sizeof whole, "%.*s%s%s", (int)(hole - cases->around), cases->around,
		cases->text, hole + 1);
	check_one(whole, cases->expected.text);
	cases->count++;
	cases->has_text = false;
	clear(&cases->expected);
}

static void take_line(struct cases *cases, const char *line)
{
	const char *text = line[0] && line[1] ? line + 2 : "";
	if (*line != '-')
		check_case(cases);
	if (*line == '~')
		snprintf(cases->around, sizeof cases->around, "%s", text);
	if (*line == '-')
		add(&cases->expected, text);
	if (*line == '+') {
		snprintf(cases->text, sizeof cases->text, "%s", text);
		cases->has_text = true;
	}
}

/* Opened before the test goes to a directory of its own. */
static void tells_what_is_wrong_with_a_field(void **state)
{
	static struct cases cases;
	FILE *file = *state;
	char line[4096];
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		take_line(&cases, line);
	}
	check_case(&cases);
	assert_true(cases.count > CASES_MIN);
}

static const struct check checks[] = {
	{"{}", "config.json:1: \"listen\" is missing: expected an address such as \":443\"\n"},
	{"{\"hosts\": {}}",
		"config.json:1: \"listen\" is missing: expected an address such as \":443\"\n"},
	{"{\"forwards\": {}}",
		"config.json:1: forwards: expected a list of at most 1024 forwards, got an object\n"
		"config.json:1: \"listen\" is missing: expected an address such as \":443\"\n"},
	{"{\"forwards\": [{\"listen\": \":1\", \"target\": \"a:1\"}], \"hosts\": {\"a.test\": {\"mode\": \"passthrough\", \"backend\": \"b:1\"}}}",
		"config.json:1: \"listen\" is missing: expected an address such as \":443\"\n"},
	{"[]", "config.json:1: expected an object: { \"hosts\": { ... } }\n"},
	{"1", "config.json:1: expected an object: { \"hosts\": { ... } }\n"},
	{"\"x\"", "config.json:1: expected an object: { \"hosts\": { ... } }\n"},
	{"{\"listen\": \":443\"} x", "config.json:1: expected the end of the file, got \"x\"\n"},
	{"{\"listen\": \":443\"}{}", "config.json:1: expected the end of the file, got \"{\"\n"},
	{"", "config.json:1: expected a value, got the end of the file\n"},
	{"  \n\n", "config.json:3: expected a value, got the end of the file\n"},
	{"{", "config.json:1: expected a name in double quotes, got the end of the file\n"},
	{"{\"listen\"", "config.json:1: expected \":\" after a name, got the end of the file\n"},
	{"{\"listen\":", "config.json:1: expected a value, got the end of the file\n"},
	{"{\"listen\": \":443\"",
		"config.json:1: expected \",\" or \"}\", got the end of the file\n"},
	{"{\"listen\": \":443\",",
		"config.json:1: expected a name in double quotes, got the end of the file\n"},
	{"{\"listen\": \":443\",}", "config.json:1: expected a name in double quotes, got \"}\"\n"},
	{"{\"listen\": [\":443\",]}", "config.json:1: expected a value, got \"]\"\n"},
	{"{listen: \":443\"}", "config.json:1: expected a name in double quotes, got \"l\"\n"},
	{"{'listen': 1}", "config.json:1: expected a name in double quotes, got \"'\"\n"},
	{"{\"listen\" \":443\"}", "config.json:1: expected \":\" after a name, got a string\n"},
	{"{\"listen\": \":443\" \"x\": 1}",
		"config.json:1: expected \",\" or \"}\", got a string\n"},
	{"{\n  // a comment\n}",
		"config.json:2: expected a name in double quotes, got \"/\" (JSON has no comments)\n"},
	{"{\n  # a comment\n}",
		"config.json:2: expected a name in double quotes, got \"#\" (JSON has no comments)\n"},
	{"{\"listen\": \":443\n\"}",
		"config.json:1: a raw control character (byte 0x0A) in a string: is its closing quote missing?\n"},
	{"{\"a\": \"\\x\"}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected one of \" \\ / b f n r t u after a backslash\n"},
	{"{\"a\": \"\\u12\"}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected four hexadecimal digits after \"\\u\"\n"},
	{"{\"a\": \"\\u0000\"}",
		"config.json:1: a: unknown key\n"
		"config.json:1: \"\\u0000\" is not allowed in a string\n"},
	{"{\"a\": \"\\ud800\"}",
		"config.json:1: a: unknown key\n"
		"config.json:1: half of a surrogate pair in a string\n"},
	{"{\"a\": \"\\udc00\\ud800\"}",
		"config.json:1: a: unknown key\n"
		"config.json:1: half of a surrogate pair in a string\n"},
	{"{\"a\": \"\\ud800x\"}",
		"config.json:1: a: unknown key\n"
		"config.json:1: half of a surrogate pair in a string\n"},
	{"{\"a\": 01}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected \",\" or \"}\", got \"1\"\n"},
	{"{\"a\": -}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a digit, got \"}\"\n"},
	{"{\"a\": 1.}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a digit, got \"}\"\n"},
	{"{\"a\": 1e}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a digit, got \"}\"\n"},
	{"{\"a\": +1}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a value, got \"+\"\n"},
	{"{\"a\": .5}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a value, got \".\"\n"},
	{"{\"a\": NaN}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a value, got \"N\"\n"},
	{"{\"a\": tru}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a value, got \"t\"\n"},
	{"{\"a\": nul}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a value, got \"n\"\n"},
	{"{\"a\": True}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a value, got \"T\"\n"},
	{"{\"a\": \"x",
		"config.json:1: a: unknown key\n"
		"config.json:1: this string is never closed\n"},
	{"{\"a\": [1 2]}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected \",\" or \"]\", got \"2\"\n"},
	{"{\"a\": [1}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected \",\" or \"]\", got \"}\"\n"},
	{"{\"a\": 1]",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected \",\" or \"}\", got \"]\"\n"},
	{"{\"a\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		"config.json:1: a: unknown key\n"
		"config.json:1: nested deeper than 64 levels\n"},
	{"\357\273\277{}",
		"config.json:1: the file begins with a byte order mark: save it as UTF-8 without one\n"},
	{"{\"a\": \"\377\"}", "config.json:1: the file is not UTF-8\n"},
	{"{\n\"a\": \"\300\200\"}", "config.json:2: the file is not UTF-8\n"},
	{"{\"a\"\001}", "config.json:1: expected \":\" after a name, got byte 0x01\n"},
	{"{\"a\": \"\303\251\", \303\251}",
		"config.json:1: a: unknown key\n"
		"config.json:1: expected a name in double quotes, got byte 0xC3\n"},
	{"{\n\"listen\": \":443\",\n\"hosts\": {\n\"a.test\": {\n\"mode\": \"terminate\",\n\"cert\": [\n\"c\",\n\"\"],\n\"key\": \"k\",\n\"mode\": \"x\",\n\"backend\": {\"servers\": [\n\"b:1\",\n\"b\"\n]}}}}",
		"config.json:8: hosts[\"a.test\"].cert[1]: expected the path of a file, got \"\"\n"
		"config.json:10: hosts[\"a.test\"].mode: duplicate key\n"
		"config.json:13: hosts[\"a.test\"].backend.servers[1]: expected \"host:port\", got \"b\"\n"},
};

static void tells_what_is_wrong_with_the_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
		check_one(checks[i].text, checks[i].errors);
}

int main(void)
{
	char directory[] = "/tmp/test_config_errors.XXXXXX";
	FILE *cases = fopen(CASES, "r");
	if (!cases || !mkdtemp(directory) || chdir(directory) != 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(tells_what_is_wrong_with_a_field, cases),
		cmocka_unit_test(tells_what_is_wrong_with_the_whole),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink("config.json");
	rmdir(directory);
	fclose(cases);
	return failed;
}
