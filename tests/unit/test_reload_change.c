/* What a reload changes, besides its hosts: each setting counts, and nothing else does. */
#include "daemon/load/reload_change.h"

#include "loaded_routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define HOST "\"a.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"}"

/* From one text to another. */
static struct reload_change change(const char *before, const char *after)
{
	struct route_loader loader;
	route_loader_init(&loader);
	struct routes *old = route_loader_load(&loader, before);
	struct routes *new = route_loader_load(&loader, after);
	assert_non_null(old);
	assert_non_null(new);
	struct reload_change result = reload_change_of(old, new);
	routes_unref(old);
	routes_unref(new);
	route_loader_finish(&loader);
	return result;
}

/* From a configuration without `members` to one with them, and back. */
static void assert_setting(const char *members)
{
	static const char plain[] = "{\"listen\": \":443\", \"hosts\": {" HOST "}}";
	char with[1024];
	snprintf(with, sizeof with, "{\"listen\": \":443\", \"hosts\": {" HOST "}, %s}", members);
	struct reload_change to = change(plain, with), back = change(with, plain);
	if (!to.settings_changed || !back.settings_changed)
		fail_msg("%s: no setting changed", members);
	assert_int_equal(to.hosts.changed + to.hosts.added + to.hosts.removed, 0);
	if (change(with, with).settings_changed)
		fail_msg("%s: changed from itself", members);
}

static void each_setting_counts(void **state)
{
	static const char *const settings[] = {
		"\"workers\": 3",
		"\"user\": \"nobody\"",
		"\"sandbox\": false",
		"\"proxy\": {\"hello_timeout\": \"7s\"}",
		"\"proxy\": {\"handshake_timeout\": \"7s\"}",
		"\"proxy\": {\"dial_timeout\": \"7s\"}",
		"\"proxy\": {\"idle_timeout\": \"7s\"}",
		"\"proxy\": {\"drain_timeout\": \"7s\"}",
		"\"proxy\": {\"max_connections\": 7}",
		"\"proxy\": {\"max_per_source\": 7}",
		"\"proxy\": {\"rate_per_source\": 7}",
		"\"health\": {\"enabled\": true, \"listen\": \"127.0.0.1:1\"}",
		"\"metrics\": {\"enabled\": true, \"listen\": \"127.0.0.1:1\"}",
		"\"control\": {\"socket\": \"/tmp/x.sock\"}",
		"\"logging\": {\"level\": \"debug\"}",
		"\"logging\": {\"format\": \"json\"}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		assert_setting(settings[i]);
}

static void hosts_are_no_setting(void **state)
{
	struct reload_change result = change("{\"listen\": \":443\", \"hosts\": {" HOST "}}",
		"{\"listen\": \":443\", \"hosts\": {\"b.test\": {\"mode\": \"passthrough\","
		" \"backend\": \"127.0.0.1:2\"}}}");
	(void)state;
	assert_int_equal(result.hosts.added, 1);
	assert_int_equal(result.hosts.removed, 1);
	assert_int_equal(result.listeners_opened + result.listeners_closed, 0);
	assert_false(result.settings_changed);
}

static void layout_is_no_change(void **state)
{
	struct reload_change result = change("{\"listen\": \":443\", \"hosts\": {" HOST "}}",
		"{ \"listen\":[\":443\"],\n\t\"hosts\": { " HOST " } }");
	(void)state;
	assert_int_equal(result.hosts.added + result.hosts.removed + result.hosts.changed, 0);
	assert_int_equal(result.listeners_opened + result.listeners_closed, 0);
	assert_false(result.settings_changed);
}

static void listeners_are_counted_by_address(void **state)
{
	struct reload_change result =
		change("{\"listen\": [\":443\", \":444\"], \"hosts\": {" HOST "}}",
			"{\"listen\": [\":446\", \":444\", \":445\"], \"hosts\": {" HOST "}}");
	(void)state;
	assert_int_equal(result.listeners_opened, 2);
	assert_int_equal(result.listeners_closed, 1);
	assert_false(result.settings_changed);
}

static void what_a_listener_accepts_before_tls_is_a_setting(void **state)
{
	static const char *const members[] = {"\"accept_proxy\": [\"10.0.0.0/8\"]",
		"\"accept_proxy\": [\"10.0.0.0/9\"]", "\"accept_proxy\": [\"11.0.0.0/8\"]",
		"\"accept_proxy\": [\"10.0.0.0/8\", \"11.0.0.0/8\"]",
		"\"plaintext\": {\"http\": \"redirect\"}", "\"plaintext\": {\"http\": \"a:1\"}",
		"\"plaintext\": {\"http\": \"a:2\"}", "\"plaintext\": {\"ssh\": \"a:1\"}",
		"\"plaintext\": {\"ssh\": \"a:1\", \"ssh_silence\": \"1s\"}",
		"\"plaintext\": {\"ssh\": [\"a:1\", \"a:2\"]}"};
	enum { COUNT = sizeof members / sizeof *members };
	char texts[COUNT][256];
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		snprintf(texts[i], sizeof texts[i],
			"{\"listen\": [{\"address\": \":443\", %s}], \"hosts\": {" HOST "}}",
			members[i]);
	for (size_t i = 0; i < COUNT; i++)
		for (size_t at = 0; at < COUNT; at++)
			assert_int_equal(change(texts[i], texts[at]).settings_changed, i != at);
}

static void all_of_a_forward_but_its_address_is_a_setting(void **state)
{
	static const char *const fields[] = {"\"target\": \"a.test:1\"", "\"target\": \"a.test:2\"",
		"\"target\": \"a.test:1\", \"server_name\": \"b.test\"",
		"\"target\": \"a.test:1\", \"alpn\": [\"x\"]",
		"\"target\": \"a.test:1\", \"alpn\": [\"y\"]",
		"\"target\": \"a.test:1\", \"min_version\": \"TLS1.3\"",
		"\"target\": \"a.test:1\", \"max_connections\": 5",
		"\"target\": {\"servers\": [\"a.test:1\"], \"balance\": \"source\"}"};
	enum { COUNT = sizeof fields / sizeof *fields };
	char texts[COUNT][256];
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		snprintf(texts[i], sizeof texts[i],
			"{\"forwards\": [{\"listen\": \"127.0.0.1:1\", %s}], \"hosts\": {}}",
			fields[i]);
	for (size_t i = 0; i < COUNT; i++)
		for (size_t at = 0; at < COUNT; at++)
			if (change(texts[i], texts[at]).settings_changed != (i != at))
				fail_msg("%s -> %s", fields[i], fields[at]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_setting_counts),
		cmocka_unit_test(hosts_are_no_setting),
		cmocka_unit_test(layout_is_no_change),
		cmocka_unit_test(listeners_are_counted_by_address),
		cmocka_unit_test(what_a_listener_accepts_before_tls_is_a_setting),
		cmocka_unit_test(all_of_a_forward_but_its_address_is_a_setting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
