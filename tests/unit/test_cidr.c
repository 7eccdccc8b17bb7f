/* Networks and the addresses within them. */
#include "wire/cidr.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static bool contains(const char *text, const char *ip)
{
	struct network network;
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct in6_addr address;
	assert_true(network_parse(text, &network));
	if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
		assert_true(cidr_address((struct sockaddr *)&v4, &address));
	else if (inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1)
		assert_true(cidr_address((struct sockaddr *)&v6, &address));
	else
		fail();
	return network_contains(&network, &address);
}

static void the_prefix_decides(void **state)
{
	(void)state;
	assert_true(contains("10.0.0.0/8", "10.255.0.1"));
	assert_false(contains("10.0.0.0/8", "11.0.0.1"));
	assert_true(contains("192.0.2.128/25", "192.0.2.255"));
	assert_false(contains("192.0.2.128/25", "192.0.2.127"));
	assert_true(contains("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
}

static void no_prefix_is_one_address(void **state)
{
	(void)state;
	assert_true(contains("192.0.2.1", "192.0.2.1"));
	assert_false(contains("192.0.2.1", "192.0.2.0"));
	assert_true(contains("::1", "::1"));
	assert_false(contains("::1", "::"));
}

static void zero_bits_are_everybody_of_the_family(void **state)
{
	(void)state;
	assert_true(contains("0.0.0.0/0", "255.255.255.255"));
	assert_false(contains("0.0.0.0/0", "2001:db8::1"));
	assert_true(contains("::/0", "2001:db8::1"));
	assert_true(contains("::/0", "192.0.2.1"));
}

static void ipv4_in_ipv6_is_ipv4(void **state)
{
	(void)state;
	assert_true(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
	assert_true(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
}

static void other_texts_are_refused(void **state)
{
	static const char *const wrong[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33",
		"10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/8x", "::/129", "::/0128",
		"10.0.0/8", "name",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd/8"};
	struct network network;
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(network_parse(wrong[i], &network));
}

static void a_unix_socket_has_no_address(void **state)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct in6_addr address;
	(void)state;
	assert_false(cidr_address((struct sockaddr *)&local, &address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_prefix_decides),
		cmocka_unit_test(no_prefix_is_one_address),
		cmocka_unit_test(zero_bits_are_everybody_of_the_family),
		cmocka_unit_test(ipv4_in_ipv6_is_ipv4),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(a_unix_socket_has_no_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
