/* Dialling over loopback, and whose the other end of such a connection is. */
#include "dial/dial.h"
#include "net/owner/tcp_peer_uid.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs those before it */

struct outcome {
	struct ev_loop *loop;
	bool told, unresolved;
	int fd, error;
	char why[256];
};

static void on_done(void *owner, const struct dial_result *result)
{
	struct outcome *outcome = owner;
	assert_false(outcome->told);
	outcome->told = true;
	outcome->unresolved = result->unresolved;
	outcome->fd = result->fd;
	outcome->error = result->error;
	snprintf(outcome->why, sizeof outcome->why, "%s", result->why);
	ev_break(outcome->loop, EVBREAK_ALL);
}

static struct outcome dial(const char *text, int family)
{
	struct outcome outcome = {.loop = ev_loop_new(EVFLAG_AUTO), .fd = -1};
	struct endpoint endpoint;
	struct err err;
	struct resolver *resolver = resolver_create(outcome.loop, NULL, &err);
	assert_non_null(resolver);
	assert_true(endpoint_parse(text, &endpoint, &err));
	struct dial_setup setup = {.loop = outcome.loop,
		.resolver = resolver,
		.endpoint = &endpoint,
		.family = family,
		.on_done = on_done,
		.owner = &outcome};
	assert_non_null(dial_start(&setup, &err));
	assert_false(outcome.told);
	ev_run(outcome.loop, 0);
	assert_true(outcome.told);
	resolver_destroy(resolver);
	ev_loop_destroy(outcome.loop);
	return outcome;
}

static int listen_on(struct address *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	*address = (struct address){.len = sizeof address->v4,
		.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	assert_int_equal(bind(fd, &address->any, address->len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, &address->any, &address->len), 0);
	return fd;
}

static void an_address_that_listens_answers(void **state)
{
	struct address address;
	char text[ADDRESS_TEXT_MAX];
	int listener = listen_on(&address);
	(void)state;
	address_text(&address.any, address.len, text);
	struct outcome outcome = dial(text, AF_UNSPEC);
	assert_true(outcome.fd >= 0);
	close(outcome.fd);
	close(listener);
}

static void a_name_is_tried_until_one_address_answers(void **state)
{
	struct address address;
	char text[64];
	int listener = listen_on(&address);
	(void)state;
	snprintf(text, sizeof text, "localhost:%u", ntohs(address.v4.sin_port));
	struct outcome outcome = dial(text, AF_UNSPEC);
	assert_true(outcome.fd >= 0);
	close(outcome.fd);
	outcome = dial(text, AF_INET);
	assert_true(outcome.fd >= 0);
	close(outcome.fd);
	close(listener);
}

static void refusal_is_told(void **state)
{
	struct address address;
	char text[ADDRESS_TEXT_MAX];
	int listener = listen_on(&address);
	(void)state;
	close(listener);
	address_text(&address.any, address.len, text);
	struct outcome outcome = dial(text, AF_UNSPEC);
	assert_int_equal(outcome.fd, -1);
	assert_int_equal(outcome.error, ECONNREFUSED);
	assert_string_equal(outcome.why, "connection refused");
}

static void an_address_of_the_other_family_is_none(void **state)
{
	(void)state;
	struct outcome outcome = dial("127.0.0.1:1", AF_INET6);
	assert_true(outcome.unresolved);
	assert_string_equal(outcome.why, "it has no IPv6 address");
	outcome = dial("[::1]:1", AF_INET);
	assert_true(outcome.unresolved);
	assert_string_equal(outcome.why, "it has no IPv4 address");
}

static void a_name_that_is_none_is_told(void **state)
{
	(void)state;
	struct outcome outcome = dial("a..b:1", AF_UNSPEC);
	assert_int_equal(outcome.fd, -1);
	assert_true(outcome.unresolved);
	assert_true(outcome.why[0] != '\0');
}

static void a_dial_may_be_given_up(void **state)
{
	struct outcome outcome = {.loop = ev_loop_new(EVFLAG_AUTO)};
	struct endpoint endpoint;
	struct err err;
	(void)state;
	assert_true(endpoint_parse("127.0.0.1:1", &endpoint, &err));
	struct dial_setup setup = {
		.loop = outcome.loop, .endpoint = &endpoint, .on_done = on_done, .owner = &outcome};
	struct dial *dial = dial_start(&setup, &err);
	assert_string_equal(dial_tried(dial), "");
	dial_cancel(dial);
	ev_run(outcome.loop, 0);
	assert_false(outcome.told);
	ev_loop_destroy(outcome.loop);
}

static void the_other_end_is_ours_while_it_is_open(void **state)
{
	struct address own, peer = {.len = sizeof peer.v4};
	uid_t uid = (uid_t)-1;
	int listener = listen_on(&own), client = socket(AF_INET, SOCK_STREAM, 0);
	(void)state;
	assert_int_equal(connect(client, &own.any, own.len), 0);
	int accepted = accept(listener, &peer.any, &peer.len);
	assert_true(accepted >= 0);
	assert_true(tcp_peer_uid(&peer, &own, &uid));
	assert_int_equal(uid, geteuid());
	close(client);
	assert_false(tcp_peer_uid(&peer, &own, &uid));
	close(accepted);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_that_listens_answers),
		cmocka_unit_test(a_name_is_tried_until_one_address_answers),
		cmocka_unit_test(refusal_is_told),
		cmocka_unit_test(an_address_of_the_other_family_is_none),
		cmocka_unit_test(a_name_that_is_none_is_told),
		cmocka_unit_test(a_dial_may_be_given_up),
		cmocka_unit_test(the_other_end_is_ours_while_it_is_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
