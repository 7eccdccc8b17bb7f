/* PostgreSQL as a conversation: both sides at every split point, what follows TLS, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conversation.h"
#include "joined.h"

#define SSL           "\0\0\0\10\4\322\26\57"
#define GSSENC        "\0\0\0\10\4\322\26\60"
#define CANCEL        "\0\0\0\20\4\322\26\56"
#define STARTUP       "\0\0\0\27\0\3\0\0user\0me\0\0"
#define TEXT(literal) (literal), (sizeof(literal) - 1)

static const struct preface *postgres(void)
{
	return preface_find("postgres");
}

static struct conversation begin_front(void)
{
	return begin(postgres(), postgres()->front);
}

static void a_client_is_answered_at_any_split(void **state)
{
	static const struct exchange directly[] = {EXCHANGE(SSL, "S")};
	static const struct exchange after_gss[] = {EXCHANGE(GSSENC, "N"), EXCHANGE(SSL, "S")};
	static const struct exchange at_once[] = {EXCHANGE(GSSENC SSL, "NS")};
	(void)state;
	assert_talks_at_any_split(postgres(), postgres()->front, directly, 1);
	assert_talks_at_any_split(postgres(), postgres()->front, after_gss, 2);
	assert_talks_at_any_split(postgres(), postgres()->front, at_once, 1);
}

static void a_server_is_asked(void **state)
{
	static const struct exchange exchanges[] = {EXCHANGE("", SSL), EXCHANGE("S", "")};
	static const char *const others[] = {"N", "E", "\x16", "HTTP/1.1"};
	(void)state;
	assert_talks_at_any_split(postgres(), postgres()->back, exchanges, 2);
	for (size_t i = 0; i < 4; i++) {
		struct conversation server = begin(postgres(), postgres()->back);
		assert_int_equal(hear(&server, others[i], strlen(others[i])), TALK_REFUSE);
	}
}

static void a_key_is_heard_at_any_split(void **state)
{
	static const char request[] = CANCEL "abcdefgh";
	(void)state;
	for (size_t split = 0; split < sizeof request - 1; split++) {
		struct conversation client = begin_front();
		assert_true(talk_goes_on(hear(&client, request, split)));
		assert_int_equal(
			hear(&client, request + split, sizeof request - 1 - split), TALK_CANCEL);
		assert_said(&client, TEXT("abcdefgh"));
	}
}

static void assert_refused(const char *heard, size_t len, const char *error)
{
	struct conversation client = begin_front();
	assert_int_equal(hear(&client, heard, len), TALK_REFUSE);
	assert_string_equal(client.state.error, error);
}

static void what_is_not_as_it_should_be_is_refused(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_refused(TEXT("\0\0\1\10\4\322\26\57"), "not a PostgreSQL client");
	assert_refused(TEXT(GSSENC GSSENC), "not a PostgreSQL client");
	assert_refused(TEXT("\0\0\0\14\4\322\26\56abcd"), "an invalid CancelRequest");
	assert_refused(TEXT("\0\1\0\14\4\322\26\56abcd"), "an invalid CancelRequest");
	assert_refused(TEXT(CANCEL "abcdefghi"), "an invalid CancelRequest");
	assert_refused(TEXT("\0\0\0\0\0\0\0\0"), "not a PostgreSQL client");
	assert_refused(TEXT("\0\0\0\x9\4\322\26\57"), "not a PostgreSQL client");
	assert_int_equal(hear(&client, TEXT("\x16\x03\x01")), TALK_NOT_MINE);
}

static void assert_error(struct conversation *client, const char *sqlstate, const char *text)
{
	assert_true(client->said_len > 5);
	assert_int_equal(client->said[0], 'E');
	size_t len = (size_t)client->said[3] << 8 | client->said[4];
	assert_int_equal(client->said_len, 1 + len);
	assert_int_equal(client->said[client->said_len - 1], 0);
	assert_non_null(memmem(client->said, client->said_len, sqlstate, strlen(sqlstate) + 1));
	assert_non_null(memmem(client->said, client->said_len, text, strlen(text)));
}

/* Its name and database are not answered, and go nowhere. */
static void a_startup_in_the_clear_is_told_the_remedy(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_int_equal(hear(&client, TEXT(STARTUP)), TALK_REFUSE);
	assert_error(&client, "C28000", "sslmode=require");
	client = begin_front();
	assert_int_equal(hear(&client, TEXT(GSSENC)), TALK_SAY);
	client.said_len = 0;
	assert_int_equal(hear(&client, TEXT(STARTUP)), TALK_REFUSE);
	assert_error(&client, "C28000", "sslmode=require");
}

static void refusals_have_their_sqlstate(void **state)
{
	static const char *const sqlstates[] = {"C08P01", "C08004", "C53300", "C57P03", "C08006"};
	(void)state;
	for (enum preface_refusal why = REFUSAL_PROTOCOL; why <= REFUSAL_NO_SERVER; why++) {
		struct conversation client = {0};
		struct buf say = {.data = client.said, .size = PREFACE_SAY_MAX};
		postgres()->refuse(why, "the words", &say);
		client.said_len = buf_used(&say);
		assert_error(&client, sqlstates[why], "Mthe words");
	}
}

/* What follows TLS. */

static enum talk join_turn(struct joined *joined, bool is_server)
{
	return join_turn_of(postgres(), joined, is_server);
}

static enum talk join_hear(struct joined *joined, bool is_server, const void *data, size_t len)
{
	return join_hear_of(postgres(), joined, is_server, data, len);
}

static void the_key_is_replaced_at_any_split(void **state)
{
	static const char server[] = "R\0\0\0\10\0\0\0\0"
				     "S\0\0\0\11a\0b\0\0"
				     "K\0\0\0\14abcdefgh"
				     "Z\0\0\0\5I";
	static const char expected[] = "R\0\0\0\10\0\0\0\0"
				       "S\0\0\0\11a\0b\0\0"
				       "K\0\0\0\14########";
	(void)state;
	for (size_t split = 0; split < sizeof server - 7; split++) {
		struct joined joined = {0};
		assert_int_equal(join_hear(&joined, false, TEXT(STARTUP)), TALK_CONNECT);
		assert_int_equal(joined.said_len[1], 0);
		assert_int_equal(join_turn(&joined, false), TALK_SAY);
		assert_int_equal(joined.said_len[1], sizeof STARTUP - 1);
		if (split > 0)
			assert_int_not_equal(join_hear(&joined, true, server, split), TALK_DONE);
		assert_int_equal(
			join_hear(&joined, true, server + split, sizeof server - 1 - split),
			TALK_DONE);
		assert_int_equal(joined.said_len[0], sizeof expected - 1);
		assert_memory_equal(joined.said[0], expected, sizeof expected - 1);
		assert_int_equal(joined.key_len, 8);
		assert_memory_equal(joined.key, "abcdefgh", 8);
		assert_int_equal(joined.pending[1], 6); /* the rest is relayed */
	}
}

/* Passwords of the client pass meanwhile, and are not looked at. */
static void both_sides_are_heard(void **state)
{
	struct joined joined = {0};
	(void)state;
	assert_int_equal(join_hear(&joined, false, TEXT(STARTUP)), TALK_CONNECT);
	assert_int_equal(join_turn(&joined, false), TALK_SAY);
	joined.said_len[1] = 0;
	assert_int_equal(join_hear(&joined, true, TEXT("R\0\0\0\14\0\0\0\5salt")), TALK_SAY);
	assert_int_equal(join_hear(&joined, false, TEXT("p\0\0\0\7md5")), TALK_SAY);
	assert_int_equal(joined.said_len[1], 8);
	assert_memory_equal(joined.said[1], "p\0\0\0\7md5", 8);
}

/* A server without a key, or that sends what is no message: the rest is relayed. */
static void without_a_key_all_is_relayed(void **state)
{
	struct joined ready = {0}, strange = {0};
	(void)state;
	join_hear(&ready, false, TEXT(STARTUP));
	assert_int_equal(join_hear(&ready, true, TEXT("Z\0\0\0\5I")), TALK_DONE);
	assert_int_equal(ready.key_len, 0);
	join_hear(&strange, false, TEXT(STARTUP));
	assert_int_equal(join_hear(&strange, true, TEXT("E\0\0\0\0what")), TALK_DONE);
}

/* libpq 17 cancels within TLS. */
static void the_first_message_may_be_a_request_to_cancel(void **state)
{
	static const char request[] = CANCEL "abcdefgh";
	(void)state;
	for (size_t split = 0; split < sizeof request - 1; split++) {
		struct joined joined = {0};
		if (split > 0)
			assert_int_equal(join_hear(&joined, false, request, split), TALK_MORE);
		assert_int_equal(
			join_hear(&joined, false, request + split, sizeof request - 1 - split),
			TALK_CANCEL);
		assert_int_equal(joined.said_len[1], 8);
		assert_memory_equal(joined.said[1], "abcdefgh", 8);
	}
}

/* By a forward the client does not know that there is TLS. */
static void tls_within_tls_is_declined_once(void **state)
{
	struct joined joined = {0};
	(void)state;
	assert_int_equal(join_hear(&joined, false, TEXT(GSSENC SSL STARTUP)), TALK_CONNECT);
	assert_int_equal(joined.said_len[0], 2);
	assert_memory_equal(joined.said[0], "NN", 2);
	joined = (struct joined){0};
	assert_int_equal(join_hear(&joined, false, TEXT(SSL SSL)), TALK_REFUSE);
	joined = (struct joined){0};
	assert_int_equal(join_hear(&joined, false, TEXT("\0\0\0\4\0\3\0\0")), TALK_REFUSE);
	joined = (struct joined){0};
	assert_int_equal(join_hear(&joined, false, TEXT("GET / HT")), TALK_REFUSE);
}

static void a_request_to_cancel_is_written(void **state)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	(void)state;
	postgres()->cancel(span_of("abcdefgh", 8), &say);
	assert_int_equal(buf_used(&say), 16);
	assert_memory_equal(room, CANCEL "abcdefgh", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_answered_at_any_split),
		cmocka_unit_test(a_server_is_asked),
		cmocka_unit_test(a_key_is_heard_at_any_split),
		cmocka_unit_test(what_is_not_as_it_should_be_is_refused),
		cmocka_unit_test(a_startup_in_the_clear_is_told_the_remedy),
		cmocka_unit_test(refusals_have_their_sqlstate),
		cmocka_unit_test(the_key_is_replaced_at_any_split),
		cmocka_unit_test(both_sides_are_heard),
		cmocka_unit_test(without_a_key_all_is_relayed),
		cmocka_unit_test(the_first_message_may_be_a_request_to_cancel),
		cmocka_unit_test(tls_within_tls_is_declined_once),
		cmocka_unit_test(a_request_to_cancel_is_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
