/* The canonical form of names: what is taken, what is refused, what a pattern covers. */
#include "wire/server_name.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h> /* needs those before it */

static struct server_name name_of(const char *text)
{
	struct server_name name;
	assert_null(server_name_parse_pattern(span_of_string(text), &name));
	return name;
}

static void assert_canonical(const char *raw, const char *canonical)
{
	struct server_name name;
	assert_null(server_name_parse(span_of_string(raw), &name));
	assert_string_equal(name.text, canonical);
	assert_int_equal(name.len, strlen(canonical));
}

static void assert_refused(const void *raw, size_t len, const char *why)
{
	struct server_name name;
	const char *error = server_name_parse(span_of(raw, len), &name);
	assert_non_null(error);
	assert_string_equal(error, why);
	assert_int_equal(name.len, 0);
	assert_string_equal(name.text, "");
}

static void lowers_and_takes_one_dot_off(void **state)
{
	(void)state;
	assert_canonical("App.Example.COM", "app.example.com");
	assert_canonical("app.example.com.", "app.example.com");
	assert_canonical("LOCALHOST", "localhost");
	assert_canonical("@[`{AZaz", "@[`{azaz");
	assert_canonical("\xc3\x84pfel.\xff test", "\xc3\x84pfel.\xff test");
	assert_canonical("*.example.com", "*.example.com");
}

static void refuses_bytes_that_no_name_holds(void **state)
{
	(void)state;
	char text[] = "app_example";
	for (unsigned byte = 1; byte < 256; byte++) {
		bool is_control = byte < 0x20 || byte == 0x7f;
		text[3] = (char)byte;
		if (is_control)
			assert_refused(text, strlen(text), "holds a control byte");
		else
			assert_null(
				server_name_parse(span_of_string(text), &(struct server_name){0}));
	}
	assert_refused("app\0example", 11, "holds a NUL byte");
	assert_refused("app\0", 4, "holds a NUL byte");
	assert_refused("\0", 1, "holds a NUL byte");
}

static void refuses_empty_labels(void **state)
{
	(void)state;
	assert_refused("", 0, "is empty");
	assert_refused(".", 1, "has an empty label");
	assert_refused("..", 2, "has an empty label");
	assert_refused(".app", 4, "has an empty label");
	assert_refused("app..test", 9, "has an empty label");
	assert_refused("app.test..", 10, "has an empty label");
}

static void measures_the_canonical_form(void **state)
{
	(void)state;
	struct server_name name;
	uint8_t raw[70000];
	memset(raw, 'a', sizeof(raw));
	assert_null(server_name_parse(span_of(raw, 253), &name));
	assert_int_equal(name.len, 253);
	assert_int_equal(name.text[253], '\0');
	assert_refused(raw, 254, "is longer than 253 bytes");
	assert_refused(raw, 256 + 10, "is longer than 253 bytes");
	assert_refused(raw, sizeof(raw), "is longer than 253 bytes");
	raw[253] = '.';
	assert_null(server_name_parse(span_of(raw, 254), &name));
	assert_int_equal(name.len, 253);
}

static void refuses_addresses(void **state)
{
	(void)state;
	static const char *const addresses[] = {"127.0.0.1", "127.0.0.1.", "0.0.0.0",
		"255.255.255.255", "010.001.000.009", "::", "::1", "2001:DB8::1",
		"2001:db8:0:0:0:0:0:1", "::ffff:192.0.2.1", "fe80::1%eth0", "[::1]",
		"[2001:db8::1]", "[::1]:443", "::1."};
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_refused(addresses[i], strlen(addresses[i]), "is an IP address");
}

static void an_address_as_sni_counts_as_none(void **state)
{
	(void)state;
	static const char *const addresses[] = {"127.0.0.1", "127.0.0.1.", "010.001.000.009", "::1",
		"2001:DB8::1", "fe80::1%eth0", "[2001:db8::1]"};
	static const char *const others[] = {"[::1]:443", "[a].test", "::1%a b", "::1%\x01", "",
		"a..b", "fe80::1%\xff", ".::1", "..::"};
	struct server_name name;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		name.len = 1;
		assert_null(server_name_parse_sni(span_of_string(addresses[i]), &name));
		assert_int_equal(name.len, 0);
		assert_string_equal(name.text, "");
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_non_null(server_name_parse_sni(span_of_string(others[i]), &name));
	assert_non_null(server_name_parse_sni(span_of("::1%\0", 5), &name));
	assert_null(server_name_parse_sni(span_of_string("App.test."), &name));
	assert_string_equal(name.text, "app.test");
}

static void takes_names_that_look_like_addresses(void **state)
{
	(void)state;
	static const char *const names[] = {"127.0.0", "1.2.3.4.5", "127.0.0.256", "127.0.0.1a",
		"a127.0.0.1", "1234.1.1.1", "1.2.3.4.example", "10", "dead.beef", "[test", "test]",
		"a:b"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_canonical(names[i], names[i]);
}

static void takes_a_star_as_the_first_label_of_a_pattern(void **state)
{
	(void)state;
	struct server_name name;
	static const char *const wrong[] = {"a.*.test", "*a.test", "a*.test", "**", "*.*",
		"*.*.test", "*..test", "*.", "a.*", "127.0.0.1"};
	assert_string_equal(name_of("*.Example.com.").text, "*.example.com");
	assert_string_equal(name_of("*").text, "*");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bool is_star = strcmp(wrong[i], "*.") == 0;
		const char *error = server_name_parse_pattern(span_of_string(wrong[i]), &name);
		assert_int_equal(error == NULL, is_star);
		assert_string_equal(name.text, is_star ? "*" : "");
		assert_int_equal(name.len, is_star ? 1 : 0);
	}
}

static bool covers(const char *pattern, const char *text)
{
	struct server_name covering = name_of(pattern), name = name_of(text);
	return server_name_covered(&covering, &name);
}

static void covers_exactly_one_label(void **state)
{
	(void)state;
	assert_true(covers("app.test", "app.test"));
	assert_true(covers("app.test", "APP.test."));
	assert_false(covers("app.test", "app.tests"));
	assert_true(covers("*.test", "app.test"));
	assert_true(covers("*.app.test", "a.app.test"));
	assert_false(covers("*.test", "test"));
	assert_false(covers("*.test", "a.app.test"));
	assert_false(covers("*.app.test", "app.test"));
	assert_false(covers("*.app.test", "aapp.test"));
	assert_false(covers("app.test", "*.test"));
	assert_false(covers("*", "app"));
	assert_false(covers("*", "app.test"));
	assert_false(server_name_covered(&(struct server_name){0}, &(struct server_name){0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowers_and_takes_one_dot_off),
		cmocka_unit_test(refuses_bytes_that_no_name_holds),
		cmocka_unit_test(refuses_empty_labels),
		cmocka_unit_test(measures_the_canonical_form),
		cmocka_unit_test(refuses_addresses),
		cmocka_unit_test(an_address_as_sni_counts_as_none),
		cmocka_unit_test(takes_names_that_look_like_addresses),
		cmocka_unit_test(takes_a_star_as_the_first_label_of_a_pattern),
		cmocka_unit_test(covers_exactly_one_label),
	};
	return cmocka_run_group_tests_name("server_name", tests, NULL, NULL);
}
