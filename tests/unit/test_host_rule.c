/* Which Host headers the pages for administrators are served under. */
#include "admin/host_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define OWN "Node1.example.com"

static void addresses_and_own_names_are_accepted(void **state)
{
	static const char *const hosts[] = {NULL, "", "127.0.0.1", "127.0.0.1:9000", "10.1.2.3:80",
		"[::1]", "[::1]:9000", "[fe80::1]:9000", "localhost", "LOCALHOST:9000",
		"localhost.", "a.localhost:1", "gatehouse:9001", "node1.example.com",
		"NODE1.EXAMPLE.COM:9001", "node1.example.com.:9001"};
	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		assert_true(host_rule_accepts(hosts[i], OWN));
}

static void names_that_anybody_may_register_are_not(void **state)
{
	static const char *const hosts[] = {"attacker.example", "attacker.example:9000",
		"node1.example.com.attacker.example", "127.0.0.1.attacker.example",
		"node2.example.com", "localhost.attacker.example", "a.notlocalhost.example",
		"127.0.0.1:9000:1", "127.0.0.1:x", "[::1", "[::1]x", "[attacker.example]",
		"[attacker]", "a.b:@127.0.0.1", "1.2.3.4.5"};
	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		assert_false(host_rule_accepts(hosts[i], OWN));
	assert_false(host_rule_accepts("a.b", ""));
}

static void names_that_are_configured_are(void **state)
{
	static const char *const names[] = {"gw.internal", "other.example"};
	(void)state;
	assert_true(host_rule_names("gw.internal", names, 2));
	assert_true(host_rule_names("GW.Internal.:9000", names, 2));
	assert_true(host_rule_names("other.example:1", names, 2));
	assert_false(host_rule_names("a.gw.internal", names, 2));
	assert_false(host_rule_names("gw.internal", names, 0));
	assert_false(host_rule_names("[gw.internal]", names, 2));
	assert_false(host_rule_names(NULL, names, 2));
	assert_false(host_rule_names("", names, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_and_own_names_are_accepted),
		cmocka_unit_test(names_that_anybody_may_register_are_not),
		cmocka_unit_test(names_that_are_configured_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
