/* What is not TLS on a listener with "plaintext": byte by byte, silence, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "route/drain.h"
#include "route/plaintext.h"
#include "session/steps/steps.h"
#include "session_rig.h"

#define CONFIG                                                                                        \
	"\"listen\": [{\"address\": \":443\", \"plaintext\": {\"http\": \"redirect\", \"ssh\": "      \
	"\"127.0.0.1:1\", \"ssh_silence\": \"100ms\"}}, "                                             \
	"{\"address\": \":444\", \"plaintext\": {\"http\": \"127.0.0.1:1\"}}, "                       \
	"{\"address\": \":445\", \"starttls\": \"ldap\", \"plaintext\": {\"http\": \"redirect\"}}], " \
	"\"proxy\": {\"hello_timeout\": \"20s\", \"dial_timeout\": \"1s\"}, \"hosts\": {}"

#define REQUEST "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"

static struct fake_stream client;

static struct rig *rig_of(void **state)
{
	return *state;
}

static int set_up(void **state)
{
	*state = rig_create(CONFIG);
	return 0;
}

static int tear_down(void **state)
{
	rig_destroy(*state);
	return 0;
}

static struct session *start_on(struct rig *rig, const char *listen)
{
	struct route *forward;
	struct session *session = rig_start_fake(rig, &client);
	session->listener_config = routes_listener(rig->service.routes, listen, &forward);
	assert_non_null(session->listener_config);
	rig_go(session, steps_for(session->listener_config, NULL, false));
	return rig->service.sessions;
}

static void feed(const char *text, size_t len)
{
	int turns = 0;
	fake_feed(&client, text, len);
	while (fake_ready(&client) && fake_waiting(&client) > 0)
		assert_true(++turns < 100);
}

static void assert_redirected(struct rig *rig)
{
	static const char expected[] = "HTTP/1.1 308 Permanent Redirect\r\n"
				       "Location: https://a.test/x\r\n";
	assert_true(client.out_len > sizeof expected);
	assert_memory_equal(client.out, expected, sizeof expected - 1);
	assert_int_equal(client.half_closes, 1);
	client.in_ended = true;
	fake_ready(&client);
	assert_null(rig->service.sessions);
	assert_logged("mode=redirect");
	assert_logged("reason=done");
}

static void a_request_may_come_byte_by_byte(void **state)
{
	struct rig *rig = rig_of(state);
	start_on(rig, ":443");
	for (size_t i = 0; i < sizeof REQUEST - 2; i++) {
		unsigned peeks = client.peeks;
		feed(&REQUEST[i], 1);
		assert_int_equal(client.out_len, 0);
		assert_int_equal(fake_waiting(&client), i + 1);
		if (i > 0)
			assert_int_equal(client.wanted, i + 2);
		assert_true(client.peeks - peeks <= 4);
		assert_int_equal(client.watched, EV_READ);
	}
	feed(&REQUEST[sizeof REQUEST - 2], 1);
	assert_redirected(rig);
}

static void a_request_may_come_behind_starttls(void **state)
{
	struct rig *rig = rig_of(state);
	start_on(rig, ":445");
	feed(REQUEST, sizeof REQUEST - 1);
	assert_redirected(rig);
}

static void who_requests_tls_has_to_begin_with_it(void **state)
{
	static const char ldap_request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
					   "1.3.6.1.4.1.1466.20037";
	struct rig *rig = rig_of(state);
	start_on(rig, ":445");
	feed(ldap_request, sizeof ldap_request - 1);
	size_t answered = client.out_len;
	feed(REQUEST, sizeof REQUEST - 1);
	assert_int_equal(rig_ends(rig, END_NOT_TLS), 1);
	assert_int_equal(client.out_len, answered);
}

static void silence_is_ssh(void **state)
{
	struct rig *rig = rig_of(state);
	start_on(rig, ":443");
	rig_run_until(rig, !rig->service.sessions);
	assert_logged("route=ssh@:443 mode=plaintext");
	assert_int_equal(rig_ends(rig, END_DIAL), 1);
}

static void who_speaks_is_not_silent(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_on(rig, ":443");
	uint64_t started_us = clock_now_us();
	feed("G", 1);
	assert_string_equal(session->step->name, "plaintext");
	assert_false(session->is_retry);
	rig_run_until(rig, clock_now_us() - started_us > 200000);
	assert_ptr_equal(rig->service.sessions, session);
	assert_string_equal(session->step->name, "plaintext");
	session_end(session, END_KILLED, "killed");
}

static void others_are_not_silent_either(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_on(rig, ":444");
	uint64_t started_us = clock_now_us();
	rig_run_until(rig, clock_now_us() - started_us > 200000);
	assert_string_equal(session->step->name, "sniff");
	session_end(session, END_KILLED, "killed");
}

static void a_backend_gets_untouched_bytes(void **state)
{
	struct rig *rig = rig_of(state);
	start_on(rig, ":444");
	feed("GET / HTTP/1.1\n", 15);
	rig_run_until(rig, !rig->service.sessions);
	assert_int_equal(client.in_taken, 0);
	assert_logged("route=http@:444 mode=plaintext");
	assert_int_equal(rig_ends(rig, END_DIAL), 1);
}

static void what_is_not_configured_is_closed(void **state)
{
	struct rig *rig = rig_of(state);
	static const char *const others[] = {
		"SSH-2.0-x\r\n", "EHLO x\r\n", "\x15\x03\x01", "\x16\x02"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		start_on(rig, ":444");
		feed(others[i], strlen(others[i]));
		assert_int_equal(rig_ends(rig, END_NOT_TLS), i + 1);
		assert_int_equal(client.out_len, 0);
		assert_int_equal(client.aborts, 1);
	}
	assert_logged("end=\"not TLS\"");
}

static void the_preface_of_http2_is_not_redirected(void **state)
{
	struct rig *rig = rig_of(state);
	start_on(rig, ":443");
	feed("PRI * HTTP/2.0\r\n", 16);
	assert_int_equal(rig_ends(rig, END_NOT_TLS), 1);
	assert_int_equal(client.out_len, 0);
}

static void a_client_that_leaves(void **state)
{
	struct rig *rig = rig_of(state);
	start_on(rig, ":443");
	feed("GET / HTTP/1.1\r\nHo", 18);
	client.in_ended = true;
	fake_ready(&client);
	assert_logged("reason=no_hello step=redirect end=\"client closed within its request\"");
	start_on(rig, ":444");
	feed("GET", 3);
	client.in_ended = true;
	fake_ready(&client);
	assert_logged("reason=no_hello step=plaintext end=\"client closed within its first line\"");
}

static void a_drained_route_is_closed(void **state)
{
	struct rig *rig = rig_of(state);
	assert_int_equal(routes_drain_host(rig->service.routes, "http@:443", true), 1);
	start_on(rig, ":443");
	feed(REQUEST, sizeof REQUEST - 1);
	assert_int_equal(rig_ends(rig, END_DRAINED), 1);
	assert_int_equal(client.out_len, 0);
	assert_null(routes_plaintext_named(rig->service.routes, "ssh@:444"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_may_come_byte_by_byte),
		TEST(a_request_may_come_behind_starttls),
		TEST(who_requests_tls_has_to_begin_with_it),
		TEST(silence_is_ssh),
		TEST(who_speaks_is_not_silent),
		TEST(others_are_not_silent_either),
		TEST(a_backend_gets_untouched_bytes),
		TEST(what_is_not_configured_is_closed),
		TEST(the_preface_of_http2_is_not_redirected),
		TEST(a_client_that_leaves),
		TEST(a_drained_route_is_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
