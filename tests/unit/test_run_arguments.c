/* What a command of `run` is told of its forward. */
#include "client/run_arguments.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those before it */

static struct address address_of(const char *text)
{
	struct endpoint endpoint;
	struct address address;
	struct err err;
	assert_true(endpoint_parse(text, &endpoint, &err));
	assert_true(address_of_endpoint(&endpoint, &address));
	return address;
}

static void assert_filled(const char *argument, const char *address_text, const char *filled)
{
	struct arena arena = {0};
	struct address address = address_of(address_text);
	char *argv[] = {(char *)(uintptr_t)argument, NULL};
	char **out = run_arguments_fill(&arena, argv, &address);
	assert_non_null(out);
	assert_string_equal(out[0], filled);
	assert_null(out[1]);
	arena_finish(&arena);
}

static void words_are_replaced_wherever_they_stand(void **state)
{
	(void)state;
	assert_filled("", "127.0.0.1:80", "");
	assert_filled("{addr}", "127.0.0.1:80", "127.0.0.1:80");
	assert_filled("host={host} port={port}", "127.0.0.1:80", "host=127.0.0.1 port=80");
	assert_filled("{{port}}{port", "127.0.0.1:80", "{80}{port");
	assert_filled("{", "127.0.0.1:80", "{");
	assert_filled("{Port}{ports}{}", "127.0.0.1:80", "{Port}{ports}{}");
	assert_filled("{addr} {host}", "[::1]:80", "[::1]:80 ::1");
	assert_filled("{socket} {addr} {port}", "unix:/a/b", "/a/b unix:/a/b {port}");
}

static void it_is_seen_which_words_there_are(void **state)
{
	char *none[] = {(char *)"a", (char *)"{x}", NULL};
	char *some[] = {(char *)"x{socket}", (char *)"{a{addr}", NULL};
	(void)state;
	assert_int_equal(run_arguments_words(none), 0);
	assert_int_equal(run_arguments_words(some), WORD_SOCKET | WORD_ADDR);
}

static const char *value_in(char **environment, const char *name)
{
	size_t len = strlen(name);
	for (; *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

static void the_environment_tells_it_too(void **state)
{
	struct arena arena = {0};
	struct address tcp = address_of("127.0.0.1:80"), un = address_of("unix:/a");
	(void)state;
	setenv("GATEHOUSE_SOCKET", "of an outer one", 1);
	setenv("GATEHOUSE_PORT", "of an outer one", 1);
	setenv("OTHER", "stays", 1);
	char **environment = run_arguments_environment(&arena, &tcp);
	assert_string_equal(value_in(environment, "GATEHOUSE_ADDR"), "127.0.0.1:80");
	assert_string_equal(value_in(environment, "GATEHOUSE_HOST"), "127.0.0.1");
	assert_string_equal(value_in(environment, "GATEHOUSE_PORT"), "80");
	assert_null(value_in(environment, "GATEHOUSE_SOCKET"));
	assert_string_equal(value_in(environment, "OTHER"), "stays");
	environment = run_arguments_environment(&arena, &un);
	assert_string_equal(value_in(environment, "GATEHOUSE_ADDR"), "unix:/a");
	assert_string_equal(value_in(environment, "GATEHOUSE_SOCKET"), "/a");
	assert_null(value_in(environment, "GATEHOUSE_PORT"));
	arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_replaced_wherever_they_stand),
		cmocka_unit_test(it_is_seen_which_words_there_are),
		cmocka_unit_test(the_environment_tells_it_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
