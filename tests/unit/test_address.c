/* Addresses as texts: taken apart, made into socket addresses, written. */
#include "net/address.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs those before it */

#define LONGEST_PATH 107

/* Parsed and written again; NULL for a name, which only a resolver can answer. */
static void assert_round(const char *text, const char *written)
{
	struct endpoint endpoint;
	struct address address;
	struct err err;
	char out[ADDRESS_TEXT_MAX];
	if (!endpoint_parse(text, &endpoint, &err))
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(address_of_endpoint(&endpoint, &address), written != NULL);
	if (!written)
		return;
	address_text(&address.any, address.len, out);
	assert_string_equal(out, written);
}

static void assert_refused(const char *text, const char *why)
{
	struct endpoint endpoint;
	struct err err;
	assert_false(endpoint_parse(text, &endpoint, &err));
	assert_string_equal(err.text, why);
}

static void takes_what_can_be_an_endpoint(void **state)
{
	(void)state;
	assert_round(":443", "[::]:443");
	assert_round("127.0.0.1:8080", "127.0.0.1:8080");
	assert_round("0.0.0.0:65535", "0.0.0.0:65535");
	assert_round("[::1]:1", "[::1]:1");
	assert_round("[2001:DB8::0:1]:00443", "[2001:db8::1]:443");
	assert_round("[::ffff:192.0.2.1]:443", "192.0.2.1:443");
	assert_round("[fe80::1%lo]:22", "[fe80::1%lo]:22");
	assert_round("[fe80::1%nosuch0]:22", NULL);
	assert_round("unix:/run/x.sock", "unix:/run/x.sock");
	assert_round("unix:x.sock", "unix:x.sock");
	assert_round("localhost:80", NULL);
	assert_round("app.example.com.:80", NULL);
	assert_round("_srv.under_score-1.test:80", NULL);
	assert_round("1.2.3.4.example:80", NULL);
}

static void refuses_what_is_no_endpoint(void **state)
{
	(void)state;
	assert_refused("", "expected \"host:port\", got \"\"");
	assert_refused("localhost", "expected \"host:port\", got \"localhost\"");
	assert_refused("h:", "expected a port from 1 to 65535 after \":\", got \"h:\"");
	assert_refused("h:0", "expected a port from 1 to 65535 after \":\", got \"h:0\"");
	assert_refused("h:65536", "expected a port from 1 to 65535 after \":\", got \"h:65536\"");
	assert_refused("h:-1", "expected a port from 1 to 65535 after \":\", got \"h:-1\"");
	assert_refused("h: 80", "expected a port from 1 to 65535 after \":\", got \"h: 80\"");
	assert_refused("h:80x", "expected a port from 1 to 65535 after \":\", got \"h:80x\"");
	assert_refused("h:000080", "expected a port from 1 to 65535 after \":\", got \"h:000080\"");
	assert_refused("::1:80",
		"expected an IPv6 address in brackets, as in \"[::1]:443\", got \"::1:80\"");
	assert_refused("[::1]", "expected \"[IPv6 address]:port\", got \"[::1]\"");
	assert_refused("[::1:80", "expected \"[IPv6 address]:port\", got \"[::1:80\"");
	assert_refused("[]:80", "expected \"[IPv6 address]:port\", got \"[]:80\"");
	assert_refused("[::1]80", "expected \"[IPv6 address]:port\", got \"[::1]80\"");
	assert_refused("[1.2.3.4]:80", "expected \"[IPv6 address]:port\", got \"[1.2.3.4]:80\"");
	assert_refused("[fe80::1%]:80", "expected \"[IPv6 address]:port\", got \"[fe80::1%]:80\"");
	assert_refused(
		"127.1:80", "expected a host name or an IP address before \":\", got \"127.1:80\"");
	assert_refused("256.0.0.1:80",
		"expected a host name or an IP address before \":\", got \"256.0.0.1:80\"");
	assert_refused(
		"a/b:80", "expected a host name or an IP address before \":\", got \"a/b:80\"");
	assert_refused("http://a:80",
		"expected a host name or an IP address before \":\", got \"http://a:80\"");
}

static void bounds_hosts_and_paths(void **state)
{
	char text[400];
	struct endpoint endpoint;
	struct err err;
	(void)state;
	memset(text, 'x', sizeof text);
	strcpy(text + 255, ":80");
	assert_true(endpoint_parse(text, &endpoint, &err));
	memset(text, 'x', sizeof text);
	strcpy(text + 256, ":80");
	assert_false(endpoint_parse(text, &endpoint, &err));

	snprintf(text, sizeof text, "unix:/%0*d", LONGEST_PATH - 1, 0);
	assert_round(text, text);
	snprintf(text, sizeof text, "unix:/%0*d", LONGEST_PATH, 0);
	assert_refused(text, "expected \"unix:\" and a path of 1 to 107 bytes, got 108 bytes");
	assert_refused("unix:", "expected \"unix:\" and a path of 1 to 107 bytes, got 0 bytes");
}

static void writes_clients_of_unix_sockets(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t path = offsetof(struct sockaddr_un, sun_path);
	char out[ADDRESS_TEXT_MAX];
	(void)state;
	address_text((struct sockaddr *)&un, path, out);
	assert_string_equal(out, "unix");
	memcpy(un.sun_path, "\0name", 5);
	address_text((struct sockaddr *)&un, path + 5, out);
	assert_string_equal(out, "unix:@name");
	memset(un.sun_path, 'x', sizeof un.sun_path); /* a path may fill it without a NUL */
	address_text((struct sockaddr *)&un, sizeof un, out);
	assert_int_equal(strlen(out), strlen("unix:") + sizeof un.sun_path);
}

static void writes_what_it_does_not_know(void **state)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr other = {.sa_family = AF_UNSPEC};
	char out[ADDRESS_TEXT_MAX];
	(void)state;
	address_text((struct sockaddr *)&v4, sizeof v4 - 1, out);
	assert_string_equal(out, "unknown");
	address_text(&other, sizeof other, out);
	assert_string_equal(out, "unknown");
	address_text(&other, 0, out);
	assert_string_equal(out, "unknown");
}

/* With the port that is taken for granted, 443; NULL: refused. */
static void assert_near(const char *text, const char *host, unsigned port)
{
	struct endpoint endpoint;
	struct err err;
	if (endpoint_parse_near(text, 443, &endpoint, &err) != (host != NULL))
		fail_msg("%s", text);
	if (!host)
		return;
	assert_string_equal(endpoint.host, host);
	assert_int_equal(endpoint.port, port);
}

static void a_port_may_be_taken_for_granted(void **state)
{
	(void)state;
	assert_near("gw.example.com", "gw.example.com", 443);
	assert_near("gw.example.com:8443", "gw.example.com", 8443);
	assert_near("192.0.2.1", "192.0.2.1", 443);
	assert_near("2001:db8::1", "2001:db8::1", 443);
	assert_near("[2001:db8::1]", "2001:db8::1", 443);
	assert_near("[2001:db8::1]:8443", "2001:db8::1", 8443);
	assert_near("fe80::1%lo", "fe80::1%lo", 443);
	assert_near("unix:/run/x", "/run/x", 0);
	assert_near("", NULL, 0);
	assert_near(":443", NULL, 0);
	assert_near("gw:", NULL, 0);
	assert_near("gw:0", NULL, 0);
	assert_near("a b", NULL, 0);
	assert_near("[::1", NULL, 0);
	assert_near("127.1", NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_can_be_an_endpoint),
		cmocka_unit_test(refuses_what_is_no_endpoint),
		cmocka_unit_test(a_port_may_be_taken_for_granted),
		cmocka_unit_test(bounds_hosts_and_paths),
		cmocka_unit_test(writes_clients_of_unix_sockets),
		cmocka_unit_test(writes_what_it_does_not_know),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
