/* POP3's STLS as a conversation: both sides, at every split point, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conversation.h"

#define GREETING "+OK POP3 server ready, TLS is required\r\n"
#define CAPA     "+OK Capability list follows\r\nSTLS\r\n.\r\n"
#define GRANTED  "+OK Begin TLS negotiation\r\n"
#define REFUSED  "-ERR Request TLS by STLS first\r\n"

static struct conversation begin_front(void)
{
	const struct preface *pop3 = preface_find("pop3");
	return begin(pop3, pop3->front);
}

static struct conversation begin_back(void)
{
	const struct preface *pop3 = preface_find("pop3");
	return begin(pop3, pop3->back);
}

static void a_client_is_greeted_and_answered_at_any_split(void **state)
{
	static const struct exchange directly[] = {
		EXCHANGE("", GREETING), EXCHANGE("STLS\r\n", GRANTED)};
	static const struct exchange politely[] = {EXCHANGE("", GREETING),
		EXCHANGE("capa\r\n", CAPA), EXCHANGE("USER alice\r\n", REFUSED),
		EXCHANGE("NoOp\r\n", "+OK\r\n"), EXCHANGE("\r\n", REFUSED),
		EXCHANGE("STLS x\r\n", REFUSED), EXCHANGE("stls\n", GRANTED)};
	static const struct exchange at_once[] = {EXCHANGE("", GREETING),
		EXCHANGE("capa\r\nUSER alice\r\nNoOp\r\n\r\nSTLS x\r\nstls\n",
			CAPA REFUSED "+OK\r\n" REFUSED REFUSED GRANTED)};
	const struct preface *pop3 = preface_find("pop3");
	(void)state;
	assert_true(pop3->speaks_first);
	assert_talks_at_any_split(pop3, pop3->front, directly, 2);
	assert_talks_at_any_split(pop3, pop3->front, politely, 7);
	assert_talks_at_any_split(pop3, pop3->front, at_once, 2);
}

static void a_server_is_heard_and_asked_at_any_split(void **state)
{
	static const struct exchange exchanges[] = {EXCHANGE("", ""),
		EXCHANGE("+OK Dovecot ready. <1.2@c>\r\n", "STLS\r\n"), EXCHANGE("+OK\r\n", "")};
	const struct preface *pop3 = preface_find("pop3");
	(void)state;
	assert_talks_at_any_split(pop3, pop3->back, exchanges, 3);
}

static void a_client_without_tls_comes_to_an_end(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_said_text(&client, GREETING);
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(hear(&client, "RETR 1\r\n", 8), TALK_SAY);
		assert_said_text(&client, REFUSED);
	}
	assert_int_equal(hear(&client, "NOOP\r\n", 6), TALK_REFUSE);
	assert_said_text(&client, "-ERR Too many commands without TLS\r\n");
	assert_string_equal(client.state.error, "the client does not request TLS");
}

static void a_client_may_quit_at_any_split(void **state)
{
	static const char quit[] = "quit\r\n";
	(void)state;
	for (size_t split = 0; split < 6; split++) {
		struct conversation client = begin_front();
		assert_true(talk_goes_on(hear(&client, quit, split)));
		assert_int_equal(hear(&client, quit + split, 6 - split), TALK_LEAVE);
		assert_said_text(&client, GREETING "+OK Bye\r\n");
	}
	struct conversation client = begin_front();
	assert_int_equal(hear(&client, "NOOP\r\nQUIT\r\nNOOP\r\n", 18), TALK_LEAVE);
	assert_said_text(&client, GREETING "+OK\r\n+OK Bye\r\n");
}

static void what_is_no_command_is_refused(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00";
	char line[512];
	(void)state;
	struct conversation client = begin_front();
	assert_int_equal(hear(&client, hello, sizeof hello - 1), TALK_NOT_MINE);
	memset(line, 'x', sizeof line);
	client = begin_front();
	assert_int_equal(hear(&client, line, sizeof line - 1), TALK_MORE);
	assert_int_equal(hear(&client, line, 1), TALK_REFUSE);
	assert_string_equal(client.state.error, "a line is too long");
	assert_said_text(&client, GREETING);
}

static void a_line_has_no_nul(void **state)
{
	(void)state;
	struct conversation client = begin_front(), server = begin_back();
	assert_int_equal(hear(&client, "NOOP\0\r\n", 7), TALK_REFUSE);
	assert_string_equal(client.state.error, "a line has a NUL");
	assert_int_equal(hear(&server, "+OK \0", 5), TALK_REFUSE);
	assert_string_equal(server.state.error, "a line has a NUL");
}

/* What is behind STLS is left for the driver to refuse. */
static void bytes_behind_the_request_are_not_used(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_int_equal(hear(&client, "STLS\r\nUSER eve\r\n", 16), TALK_DONE);
	assert_int_equal(client.pending, 10);
}

static void assert_server_refused(const char *heard, const char *said, const char *error)
{
	struct conversation server = begin_back();
	assert_int_equal(hear(&server, heard, strlen(heard)), TALK_REFUSE);
	assert_said_text(&server, said);
	assert_string_equal(server.state.error, error);
}

static void a_server_that_declines_is_refused(void **state)
{
	struct conversation server = begin_back();
	(void)state;
	assert_int_equal(hear(&server, "+OK\r\n", 5), TALK_SAY);
	assert_int_equal(hear(&server, "-ERR unknown\r\n", 14), TALK_REFUSE);
	assert_said_text(&server, "STLS\r\n");
	assert_string_equal(server.state.error, "the server declines STLS");
	assert_server_refused("-ERR busy\r\n", "", "the server greets with an error");
	assert_server_refused("-ERR\n", "", "the server greets with an error");
	assert_server_refused("220 mail.test ESMTP\r\n", "", "the server does not speak POP3");
	assert_server_refused("+OKAY\r\n", "", "the server does not speak POP3");
	assert_server_refused("\r\n", "", "the server does not speak POP3");
	assert_server_refused("+OK\r\n+OK\r\n", "", "the server answers before it is asked");
}

static void a_refusal_is_in_the_words_of_pop3(void **state)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	(void)state;
	preface_find("pop3")->refuse(REFUSAL_PROTOCOL, "too long", &say);
	assert_int_equal(buf_used(&say), 15);
	assert_memory_equal(say.data, "-ERR too long\r\n", 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_greeted_and_answered_at_any_split),
		cmocka_unit_test(a_server_is_heard_and_asked_at_any_split),
		cmocka_unit_test(a_client_without_tls_comes_to_an_end),
		cmocka_unit_test(a_client_may_quit_at_any_split),
		cmocka_unit_test(what_is_no_command_is_refused),
		cmocka_unit_test(a_line_has_no_nul),
		cmocka_unit_test(bytes_behind_the_request_are_not_used),
		cmocka_unit_test(a_server_that_declines_is_refused),
		cmocka_unit_test(a_refusal_is_in_the_words_of_pop3),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
