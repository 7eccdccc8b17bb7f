/* The part of a conversation behind TLS, as the session drives it: first message, both sides, what is left over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "session/join.h"
#include "session/steps/steps.h"
#include "session_rig.h"

#define CONFIG                                                                                     \
	"\"forwards\": [{\"listen\": \":1\", \"target\": {\"servers\": [\"db.test:5432\"], "       \
	"\"starttls\": \"postgres\"}}]"

#define TEXT(literal) (literal), (sizeof(literal) - 1)

static const char startup[] = "\0\0\0\21\0\3\0\0user\0me\0\0";
static const char request_ssl[] = "\0\0\0\10\4\322\26\57";
static const char server_key[] = "R\0\0\0\10\0\0\0\0K\0\0\0\14abcdefghZ\0\0\0\5I";

static struct fake_stream client, upstream;

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

static enum step_result step_connected(struct session *session)
{
	session->upstream = fake_init(&upstream);
	upstream.ctx = &session->service->ctx;
	session->forwarding = calloc(1, sizeof *session->forwarding);
	return STEP_NEXT;
}

static const struct step steps[] = {
	{"first_message", step_first_message, NULL},
	{"connected", step_connected, NULL},
	{"join", step_join, NULL},
	{"passed", rig_step_wait, NULL},
	{0},
};

static struct session *start(struct rig *rig)
{
	struct route *forward;
	struct session *session = rig_start_fake(rig, &client);
	routes_listener(rig->service.routes, ":1", &forward);
	assert_non_null(forward);
	session->route = forward;
	session->preface = preface_find("postgres");
	session->is_direct_tls = true;
	rig_go(session, steps);
	return session;
}

static void feed(struct fake_stream *fake, const void *data, size_t len)
{
	int turns = 0;
	fake_feed(fake, data, len);
	while (fake_waiting(fake) > 0 && fake_ready(fake))
		assert_true(++turns < 1000);
}

static bool is_at(const struct rig *rig, const char *step)
{
	const struct session *session = rig->service.sessions;
	return session && strcmp(session->step->name, step) == 0;
}

static void no_server_hears_of_a_silent_client(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start(rig);
	feed(&client, startup, 7);
	assert_true(is_at(rig, "first_message"));
	assert_null(session->upstream);
	assert_true(session->deadline > 0);
	client.in_ended = true;
	fake_ready(&client);
	assert_int_equal(rig_ends(rig, END_CLIENT_GONE), 1);
}

static void the_rest_is_left_to_the_relay_at_every_split(void **state)
{
	struct rig *rig = rig_of(state);
	for (size_t split = 1; split < sizeof server_key - 7; split++) {
		struct session *session = start(rig);
		feed(&client, TEXT(request_ssl));
		assert_int_equal(client.out_len, 1); /* declined, though no server is there */
		feed(&client, TEXT(startup));
		assert_true(is_at(rig, "join"));
		assert_int_equal(upstream.out_len, sizeof startup - 1);
		assert_memory_equal(upstream.out, startup, sizeof startup - 1);
		feed(&upstream, server_key, split);
		assert_true(is_at(rig, "join"));
		feed(&upstream, server_key + split, sizeof server_key - 1 - split);
		assert_true(is_at(rig, "passed"));
		assert_null(session->join);
		assert_int_equal(client.out_len, 1 + sizeof server_key - 1);
		assert_memory_equal(client.out + 1, server_key, 14);
		assert_memory_not_equal(client.out + 15, "abcdefgh", 8);
		assert_memory_equal(client.out + 23, "Z\0\0\0\5I", 6);
		assert_int_equal(session_up(session), sizeof startup - 1);
		assert_int_equal(session_down(session), sizeof server_key - 1);
		assert_non_null(session->cancel_key);
		session_end(session, END_KILLED, "killed");
	}
}

/* A reader that is slow keeps both sides from being read, and loses nothing. */
static void a_blocked_side_is_waited_for(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start(rig);
	feed(&client, TEXT(startup));
	client.out_blocked = true;
	fake_feed(&upstream, TEXT(server_key));
	assert_true(fake_ready(&upstream));
	assert_int_equal(client.watched, EV_WRITE);
	assert_int_equal(upstream.watched, 0);
	assert_true(is_at(rig, "join"));
	assert_int_equal(client.out_len, 0);
	client.out_blocked = false;
	assert_true(fake_ready(&client));
	assert_true(is_at(rig, "passed"));
	assert_int_equal(client.out_len, sizeof server_key - 1);
	session_end(session, END_KILLED, "killed");
}

/* The relay passes the end on. */
static void an_end_of_either_side_is_left_to_the_relay(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start(rig);
	feed(&client, TEXT(startup));
	feed(&upstream,
		TEXT("E\0\0\0\x20"
		     "half of an error"));
	upstream.in_ended = true;
	fake_ready(&upstream);
	assert_true(is_at(rig, "passed"));
	assert_int_equal(client.out_len, 21);
	session_end(session, END_KILLED, "killed");
	session = start(rig);
	feed(&client, TEXT(startup));
	feed(&upstream, TEXT("K\0\0"));
	client.in_ended = true;
	fake_ready(&client);
	assert_true(is_at(rig, "passed"));
	assert_int_equal(client.out_len, 3); /* what was too little to be a message */
	session_end(session, END_KILLED, "killed");
}

static void a_failure_ends_the_session(void **state)
{
	struct rig *rig = rig_of(state);
	start(rig);
	feed(&client, TEXT(startup));
	client.out_broken = true;
	fake_feed(&upstream, TEXT(server_key));
	fake_ready(&upstream);
	assert_ended(rig, END_CLIENT_BROKE, "end=\"client: reset by peer\"");
	assert_int_equal(upstream.aborts, 1);
}

/* Messages without end pass; they are not kept. */
static void much_passes(void **state)
{
	static const char notice[] = "N\0\1\0\4";
	static uint8_t body[65536];
	struct rig *rig = rig_of(state);
	struct session *session = start(rig);
	feed(&client, TEXT(startup));
	fake_feed(&upstream, TEXT(notice));
	fake_feed(&upstream, body, sizeof body);
	while (fake_waiting(&upstream) > 0)
		assert_true(fake_ready(&upstream));
	assert_true(is_at(rig, "join"));
	assert_int_equal(client.out_len, 5 + sizeof body);
	assert_true(session->join->server.heard.size < 3 * 4096);
	feed(&upstream, TEXT(server_key));
	assert_true(is_at(rig, "passed"));
	session_end(session, END_KILLED, "killed");
}

static void what_is_none_of_the_protocol_is_refused_in_words(void **state)
{
	struct rig *rig = rig_of(state);
	start(rig);
	feed(&client, TEXT("GET / HTTP/1.1\r\n"));
	assert_true(client.out_len > 5);
	assert_int_equal(client.out[0], 'E');
	assert_non_null(memmem(client.out, client.out_len, "C08P01", 7));
	assert_true(!rig->service.sessions || !rig->service.sessions->upstream);
}

static void a_key_that_nobody_has_ends_the_client(void **state)
{
	static const char cancel[] = "\0\0\0\20\4\322\26\56abcdefgh";
	struct rig *rig = rig_of(state);
	start(rig);
	feed(&client, TEXT(cancel));
	client.in_ended = true;
	if (rig->service.sessions)
		fake_ready(&client);
	assert_ended(rig, END_BAD_PREFACE, "with an unknown key");
	assert_int_equal(client.out_len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_server_hears_of_a_silent_client),
		TEST(the_rest_is_left_to_the_relay_at_every_split),
		TEST(a_blocked_side_is_waited_for),
		TEST(an_end_of_either_side_is_left_to_the_relay),
		TEST(a_failure_ends_the_session),
		TEST(much_passes),
		TEST(what_is_none_of_the_protocol_is_refused_in_words),
		TEST(a_key_that_nobody_has_ends_the_client),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
