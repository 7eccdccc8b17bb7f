/* MySQL as a conversation: both sides at every split point, the login behind TLS, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conversation.h"
#include "joined.h"
#include "wire/mysql.h"

#define TEXT(literal) (literal), (sizeof(literal) - 1)
#define ZEROS_19      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define FILLER        ZEROS_19 "\0\0\0\0"

/* Capabilities: 41, SSL, secure connection, plugins. */
#define SSL_REQUEST "\x20\0\0\1\0\x8a\x08\0\0\0\0\1\x2d" FILLER
/* With FOUND_ROWS, LENENC, attributes, a database; and DEPRECATE_EOF, which was not offered. */
#define CLIENT_TAIL "\0\0\0\1\x2d" FILLER "alice\0\3xyzshop\0mysql_native_password\0\4\1a\1b"
#define CLIENT_BODY "\x0a\x8a\x38\x01" CLIENT_TAIL
#define RESPONSE    "\x4a\0\0\2" CLIENT_BODY
/* The same for a server: without SSL, LENENC, the answer. */
#define SERVER_TAIL "\0\0\0\1\x2d" FILLER "alice\0\0shop\0switch_me_if_you_can\0\4\1a\1b"
/* 41, transactions, plugins, attributes, FOUND_ROWS, database; with and without SSL. */
#define GREETING_PAYLOAD(low)                                                                      \
	"\x0a"                                                                                     \
	"10.11\0\5\0\0\0abcdefgh\0" low "\x2d\2\0\x18\x01\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0"   \
	"mysql_native_password\0"
#define GREETING     "\x49\0\0\0" GREETING_PAYLOAD("\x0a\xaa")
#define PLAIN_SERVER "\x49\0\0\0" GREETING_PAYLOAD("\x0a\xa2")
#define OLD_SERVER   "\x49\0\0\0" GREETING_PAYLOAD("\x0a\x2a")
#define SWITCH                                                                                     \
	"\3\0\0\2\xfe"                                                                             \
	"xy"

static const struct preface *mysql(void)
{
	return preface_find("mysql");
}

/* Of `said`: an ERR with that number. */
static void assert_error(
	const uint8_t *said, size_t len, unsigned sequence, unsigned code, const char *text)
{
	assert_true(len > 13);
	assert_int_equal(said[0] | said[1] << 8 | said[2] << 16, len - 4);
	assert_int_equal(said[3], sequence);
	assert_int_equal(said[4], 0xff);
	assert_int_equal(said[5] | said[6] << 8, code);
	assert_int_equal(said[7], '#');
	assert_non_null(memmem(said + 13, len - 13, text, strlen(text)));
}

/* In front. */

static void the_greeting_is_one_of_mysql(void **state)
{
	struct conversation client = begin(mysql(), mysql()->front);
	uint32_t capabilities;
	(void)state;
	assert_int_equal(client.verdict, TALK_SAY);
	struct mysql_head head = mysql_read_head(client.said);
	assert_int_equal(head.len + 4, client.said_len);
	assert_int_equal(head.sequence, 0);
	assert_true(mysql_read_greeting(span_of(client.said + 4, head.len), &capabilities));
	assert_true(capabilities & MYSQL_SSL);
	assert_false(
		capabilities & (1 << 24 | 1 << 23 | 1 << 5)); /* EOF, session track, compress */
	assert_memory_equal(client.said + client.said_len - 22, "mysql_native_password", 22);
}

static void a_client_requests_tls_at_any_split(void **state)
{
	(void)state;
	for (size_t split = 0; split < sizeof SSL_REQUEST - 1; split++) {
		struct conversation client = begin(mysql(), mysql()->front);
		client.said_len = 0;
		assert_true(talk_goes_on(hear(&client, SSL_REQUEST, split)));
		assert_int_equal(hear(&client, &(SSL_REQUEST "\x16\x03\x01")[split],
					 sizeof SSL_REQUEST + 2 - split),
			TALK_DONE);
		assert_int_equal(client.said_len, 0);
		assert_int_equal(client.pending, 3); /* it waits for no answer */
	}
}

static void assert_front_refuses(
	const void *heard, size_t len, unsigned code, const char *text, const char *error)
{
	struct conversation client = begin(mysql(), mysql()->front);
	client.said_len = 0;
	assert_int_equal(hear(&client, heard, len), TALK_REFUSE);
	assert_error(client.said, client.said_len, 2, code, text);
	assert_string_equal(client.state.error, error);
}

static void a_client_without_tls_is_refused_with_the_remedy(void **state)
{
	(void)state;
	assert_front_refuses(TEXT("\x4c\0\0\1\0\x82\x08\0"), 3159, "--ssl-mode=REQUIRED",
		"the client does not request TLS");
	assert_front_refuses(
		TEXT("\x20\0\0\1\0\x08\0\0"), 1251, "too old", "the client is too old");
	assert_front_refuses(
		TEXT("\x21\0\0\1\0\x8a\x08\0"), 1043, "SSLRequest", "an invalid SSLRequest");
	assert_front_refuses(TEXT("\x20\0\0\2"), 1043, "MySQL", "not a MySQL client");
	assert_front_refuses(TEXT("\xff\xff\xff\1"), 1043, "MySQL", "not a MySQL client");
	assert_front_refuses(TEXT("\0\0\0\1"), 1043, "MySQL", "not a MySQL client");
	assert_front_refuses(TEXT("\x16\3\1\2\0"), 1043, "MySQL", "not a MySQL client");
	assert_front_refuses(TEXT("GET / HTTP/1.1\r\n"), 1043, "MySQL", "not a MySQL client");
}

static void refusals_have_their_number(void **state)
{
	static const struct {
		unsigned code, sequence;
	} expected[] = {{1043, 2}, {1105, 3}, {1040, 3}, {1053, 3}, {1429, 3}};
	(void)state;
	for (enum preface_refusal why = REFUSAL_PROTOCOL; why <= REFUSAL_NO_SERVER; why++) {
		uint8_t room[PREFACE_SAY_MAX];
		struct buf say = {.data = room, .size = sizeof room};
		mysql()->refuse(why, "the words", &say);
		assert_error(
			room, say.end, expected[why].sequence, expected[why].code, "the words");
	}
}

/* Behind. */

static void a_server_is_asked_at_any_split(void **state)
{
	(void)state;
	for (size_t split = 0; split < sizeof GREETING - 1; split++) {
		struct conversation server = begin(mysql(), mysql()->back);
		assert_true(talk_goes_on(hear(&server, GREETING, split)));
		assert_int_equal(
			hear(&server, &(GREETING)[split], sizeof GREETING - 1 - split), TALK_DONE);
		assert_said(&server, TEXT("\x20\0\0\1\0\x8a\x08\0\0\0\0\0\0" FILLER));
	}
}

static void a_greeting_alone_is_enough_where_no_tls_is_requested(void **state)
{
	struct conversation server = begin(mysql(), mysql()->back);
	(void)state;
	server.state.is_plain = true;
	assert_int_equal(hear(&server, TEXT(PLAIN_SERVER)), TALK_DONE);
	assert_int_equal(server.said_len, 0);
}

static void assert_back_refuses(const void *heard, size_t len, const char *error)
{
	struct conversation server = begin(mysql(), mysql()->back);
	assert_int_equal(hear(&server, heard, len), TALK_REFUSE);
	assert_int_equal(server.said_len, 0);
	assert_string_equal(server.state.error, error);
}

static void a_server_that_cannot_is_refused(void **state)
{
	static const char strange[] = "the server does not speak MySQL";
	struct conversation silent = begin(mysql(), mysql()->back);
	(void)state;
	assert_int_equal(hear(&silent, TEXT("\x49\0")), TALK_MORE);
	assert_back_refuses(TEXT(PLAIN_SERVER), "the server does not offer TLS");
	assert_back_refuses(TEXT(OLD_SERVER), "the server is too old");
	assert_back_refuses(TEXT("\5\0\0\0\xff\x10\4no"), "the server has too many connections");
	assert_back_refuses(
		TEXT("\3\0\0\0\xff\x69\4"), "the server blocks this host (max_connect_errors)");
	assert_back_refuses(TEXT("\3\0\0\0\xff\x6a\4"), "the server has no account for this host");
	assert_back_refuses(TEXT("\3\0\0\0\xff\x6b\4"), "the server greets with an error");
	assert_back_refuses(TEXT("\1\0\0\0\xff"), "the server greets with an error");
	assert_back_refuses(TEXT("\x49\0\0\1"), strange);
	assert_back_refuses(TEXT("\0\0\0\0"), strange);
	assert_back_refuses(TEXT("\xff\xff\xff\0"), strange);
	assert_back_refuses(TEXT("\3\0\0\0\x09\x31\0"), strange);
	assert_back_refuses(TEXT("\6\0\0\0\x0a\x31\0\1\1\1"), strange);
	assert_back_refuses(TEXT("+OK POP3\r\n"), strange);
	assert_back_refuses(TEXT(GREETING "\0"), "the server sends more than its greeting");
}

/* The lengths of its fields may lie. */
static void a_greeting_cut_anywhere_is_refused_or_old(void **state)
{
	uint32_t capabilities;
	(void)state;
	for (size_t len = 0; len < 31 - 10; len++)
		assert_false(mysql_read_greeting(span_of(&(GREETING)[4], len), &capabilities));
}

/* The login. */

static void connect_to(struct joined *joined, bool is_tls, const char *greeting, size_t len)
{
	struct talk_state state = {.memory = joined->memory, .is_plain = !is_tls};
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	size_t used = 0;
	assert_int_equal(mysql()->back(&state, span_of(greeting, len), &used, &say), TALK_DONE);
}

static enum talk client_says(struct joined *joined, const void *data, size_t len)
{
	return join_hear_of(mysql(), joined, false, data, len);
}

static enum talk server_says(struct joined *joined, const void *data, size_t len)
{
	return join_hear_of(mysql(), joined, true, data, len);
}

static void assert_heard(struct joined *joined, bool is_server, const void *data, size_t len)
{
	assert_int_equal(joined->said_len[is_server], len);
	assert_memory_equal(joined->said[is_server], data, len);
	joined->said_len[is_server] = 0;
}

static struct joined begin_login(bool is_tls)
{
	struct joined joined = {0};
	assert_int_equal(client_says(&joined, TEXT(RESPONSE)), TALK_CONNECT);
	connect_to(&joined, is_tls, TEXT(GREETING));
	assert_int_equal(join_turn_of(mysql(), &joined, false), TALK_SAY);
	return joined;
}

static void a_response_waits_for_a_server_at_any_split(void **state)
{
	(void)state;
	for (size_t split = 0; split < sizeof RESPONSE - 1; split++) {
		struct joined joined = {0};
		if (split > 0)
			assert_int_equal(client_says(&joined, RESPONSE, split), TALK_MORE);
		assert_int_equal(
			client_says(&joined, &(RESPONSE)[split], sizeof RESPONSE - 1 - split),
			TALK_CONNECT);
		assert_int_equal(joined.pending[0], sizeof RESPONSE - 1);
	}
}

static void the_response_is_for_that_server(void **state)
{
	struct joined joined = begin_login(false);
	(void)state;
	assert_heard(&joined, true, TEXT("\x46\0\0\1\x0a\x82\x18\0" SERVER_TAIL));
	joined = begin_login(true);
	assert_heard(&joined, true, TEXT("\x46\0\0\2\x0a\x8a\x18\0" SERVER_TAIL));
}

/* What the server has not is left out: attributes, FOUND_ROWS. */
static void the_response_is_masked(void **state)
{
	struct joined joined = {0};
	(void)state;
	client_says(&joined, TEXT(RESPONSE));
	connect_to(&joined, false,
		TEXT("\x49\0\0\0\x0a"
		     "10.11\0\5\0\0\0abcdefgh\0\0\xa2\x2d\2\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0"
		     "ijklmnopqrst\0mysql_native_password\0"));
	join_turn_of(mysql(), &joined, false);
	assert_heard(&joined, true,
		TEXT("\x3c\0\0\1\0\x82\x08\0\0\0\0\1\x2d" FILLER
		     "alice\0\0switch_me_if_you_can\0"));
}

static void numbers_are_rewritten_until_ok_at_any_split(void **state)
{
	static const char answer[] = "\2\0\0\4zz", more[] = "\3\0\0\4\1\2\3",
			  ok[] = "\7\0\0\5\0....";
	(void)state;
	for (size_t split = 1; split < sizeof SWITCH - 1; split++) {
		struct joined joined = begin_login(false);
		joined.said_len[1] = 0;
		assert_true(talk_goes_on(server_says(&joined, SWITCH, split)));
		assert_int_equal(server_says(&joined, &(SWITCH)[split], sizeof SWITCH - 1 - split),
			TALK_SAY);
		assert_heard(&joined, false,
			TEXT("\3\0\0\3\xfe"
			     "xy"));
		for (size_t i = 0; i < sizeof answer - 1; i++)
			client_says(&joined, answer + i, 1);
		assert_heard(&joined, true, TEXT("\2\0\0\3zz"));
		assert_int_equal(server_says(&joined, TEXT(more)), TALK_SAY);
		assert_heard(&joined, false, TEXT("\3\0\0\5\1\2\3"));
		assert_int_equal(server_says(&joined, TEXT(ok)), TALK_DONE);
		assert_heard(&joined, false, TEXT("\7\0\0\6\0"));
		assert_int_equal(joined.pending[1], 4); /* the rest is relayed */
	}
}

static void an_error_ends_the_login(void **state)
{
	struct joined joined = begin_login(true);
	(void)state;
	assert_int_equal(server_says(&joined, TEXT("\3\0\0\3\xff\x15\4")), TALK_DONE);
	assert_heard(&joined, false, TEXT("\3\0\0\3\xff"));
	joined = begin_login(false); /* a number of its own */
	assert_int_equal(server_says(&joined, TEXT("\3\0\0\0\xff\x15\4")), TALK_DONE);
	assert_heard(&joined, false, TEXT("\3\0\0\3\xff"));
}

/* caching_sha2_password: the fast way; and the password itself, which the client believes to be secret. */
static void a_password_goes_where_nobody_can_read_it(void **state)
{
	struct joined joined = begin_login(true);
	(void)state;
	assert_int_equal(server_says(&joined, TEXT("\2\0\0\3\1\3\7\0\0\4\0")), TALK_DONE);
	joined = begin_login(true);
	joined.state.is_private = true;
	assert_int_equal(server_says(&joined, TEXT("\2\0\0\3\1\4")), TALK_SAY);
	assert_heard(&joined, false, TEXT("\2\0\0\3\1\4"));
	assert_int_equal(client_says(&joined, TEXT("\7\0\0\4secret\0")), TALK_SAY);
	for (size_t split = 1; split < 6; split++) {
		joined = begin_login(false);
		assert_int_equal(server_says(&joined, "\2\0\0\2\1\4", split), TALK_MORE);
		assert_int_equal(
			server_says(&joined, &"\2\0\0\2\1\4"[split], 6 - split), TALK_REFUSE);
		assert_error(joined.said[0], joined.said_len[0], 3, 3159, "needs TLS");
	}
}

/* Whoever is on the link to a server in plain text may ask for it. */
static void a_method_that_sends_the_password_needs_a_private_link(void **state)
{
	static const char clear[] = "\x16\0\0\2\xfe"
				    "mysql_clear_password";
	static const char dialog[] = "\x0f\0\0\2\xfe"
				     "dialog\0ask me\0";
	(void)state;
	for (size_t split = 1; split < sizeof clear; split++) {
		struct joined joined = begin_login(false);
		assert_int_equal(server_says(&joined, clear, split),
			split == sizeof clear ? TALK_REFUSE : TALK_MORE);
		assert_int_equal(
			server_says(&joined, clear + split, sizeof clear - split), TALK_REFUSE);
		assert_error(joined.said[0], joined.said_len[0], 3, 3159, "needs TLS");
	}
	struct joined joined = begin_login(false);
	assert_int_equal(server_says(&joined, dialog, sizeof dialog), TALK_REFUSE);
	joined = begin_login(true);
	joined.state.is_private = true;
	assert_int_equal(server_says(&joined,
				 "\x16\0\0\3\xfe"
				 "mysql_clear_password",
				 26),
		TALK_SAY);
}

static void assert_login_refuses(
	const void *heard, size_t len, bool is_server, unsigned sequence, const char *error)
{
	struct joined joined = begin_login(false);
	assert_int_equal(join_hear_of(mysql(), &joined, is_server, heard, len), TALK_REFUSE);
	assert_string_equal(joined.state.error, error);
	assert_error(joined.said[0], joined.said_len[0], sequence, 1043, error);
}

static void what_does_not_keep_to_the_login_is_refused(void **state)
{
	static const char strange[] = "the server does not keep to the protocol";
	(void)state;
	assert_login_refuses(TEXT("\2\0\0\3\0."), true, 3, strange);
	assert_login_refuses(TEXT("\0\0\0\2"), true, 3, strange);
	assert_login_refuses(TEXT("\xff\xff\xff\2\0"), true, 3, strange);
	assert_login_refuses(TEXT("\2\0\0\0zz"), false, 1, "a wrong sequence number");
	assert_login_refuses(TEXT("\xff\xff\xff\3"), false, 4, "a packet is too long");
}

static void assert_first_refused(const void *heard, size_t len, const char *error)
{
	struct joined joined = {0};
	assert_int_equal(client_says(&joined, heard, len), TALK_REFUSE);
	assert_string_equal(joined.state.error, error);
	assert_true(joined.said_len[0] > 0 && joined.said_len[1] == 0);
}

static void a_response_whose_lengths_lie_is_refused(void **state)
{
	static const char invalid[] = "an invalid HandshakeResponse";
	char cut[sizeof RESPONSE] = RESPONSE;
	(void)state;
	assert_first_refused(TEXT("\x20\0\0\1"), "a wrong sequence number");
	assert_first_refused(TEXT("\xff\xff\xff\2"), "a packet is too long");
	assert_first_refused(TEXT("\0\x40\0\2"), "the HandshakeResponse is too long");
	assert_first_refused(TEXT("\0\0\0\2"), invalid);
	for (size_t len = 0; len < 32 + 10; len++) {
		cut[0] = (char)len;
		assert_first_refused(cut, 4 + len, invalid);
	}
	assert_first_refused(
		TEXT("\x23\0\0\2\0\x82\0\0\0\0\0\1\x2d" FILLER "a\0\0"), "the client is too old");
}

static void a_server_that_speaks_first_again_is_refused(void **state)
{
	struct joined joined = {0};
	(void)state;
	client_says(&joined, TEXT(RESPONSE));
	assert_int_equal(server_says(&joined, TEXT("\1\0\0\1\0")), TALK_REFUSE);
	assert_string_equal(joined.state.error, "the server sends before it is asked");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_greeting_is_one_of_mysql),
		cmocka_unit_test(a_client_requests_tls_at_any_split),
		cmocka_unit_test(a_client_without_tls_is_refused_with_the_remedy),
		cmocka_unit_test(refusals_have_their_number),
		cmocka_unit_test(a_server_is_asked_at_any_split),
		cmocka_unit_test(a_greeting_alone_is_enough_where_no_tls_is_requested),
		cmocka_unit_test(a_server_that_cannot_is_refused),
		cmocka_unit_test(a_greeting_cut_anywhere_is_refused_or_old),
		cmocka_unit_test(a_response_waits_for_a_server_at_any_split),
		cmocka_unit_test(the_response_is_for_that_server),
		cmocka_unit_test(the_response_is_masked),
		cmocka_unit_test(numbers_are_rewritten_until_ok_at_any_split),
		cmocka_unit_test(an_error_ends_the_login),
		cmocka_unit_test(a_password_goes_where_nobody_can_read_it),
		cmocka_unit_test(a_method_that_sends_the_password_needs_a_private_link),
		cmocka_unit_test(what_does_not_keep_to_the_login_is_refused),
		cmocka_unit_test(a_response_whose_lengths_lie_is_refused),
		cmocka_unit_test(a_server_that_speaks_first_again_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
