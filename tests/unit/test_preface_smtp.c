/* SMTP's STARTTLS as a conversation: both sides, at every split point, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conversation.h"

#define GREETING "220 gatehouse ESMTP\r\n"
#define EHLO     "250-gatehouse\r\n250 STARTTLS\r\n"
#define GRANTED  "220 Ready to start TLS\r\n"
#define REFUSED  "530 Must issue a STARTTLS command first\r\n"
#define OFFER    "250-mx.test\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 8BITMIME\r\n"

static struct conversation begin_front(void)
{
	const struct preface *smtp = preface_find("smtp");
	return begin(smtp, smtp->front);
}

static struct conversation begin_back(void)
{
	const struct preface *smtp = preface_find("smtp");
	return begin(smtp, smtp->back);
}

static void a_client_is_greeted_and_answered_at_any_split(void **state)
{
	static const struct exchange directly[] = {
		EXCHANGE("", GREETING), EXCHANGE("STARTTLS\r\n", GRANTED)};
	static const struct exchange politely[] = {EXCHANGE("", GREETING),
		EXCHANGE("ehlo client.test\r\n", EHLO), EXCHANGE("HELO x\r\n", "250 gatehouse\r\n"),
		EXCHANGE("MAIL FROM:<a@b.test> SIZE=1\r\n", REFUSED),
		EXCHANGE("noop a b\r\n", "250 OK\r\n"), EXCHANGE("\r\n", REFUSED),
		EXCHANGE("STARTTLS x\r\n", "501 STARTTLS has no parameters\r\n"),
		EXCHANGE("starttls\n", GRANTED)};
	const struct preface *smtp = preface_find("smtp");
	(void)state;
	assert_true(smtp->speaks_first);
	assert_talks_at_any_split(smtp, smtp->front, directly, 2);
	assert_talks_at_any_split(smtp, smtp->front, politely, 8);
}

static void the_greeting_has_the_name_of_the_listener(void **state)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	struct talk_state talk = {.host = "mx.test"};
	size_t used = 0;
	(void)state;
	assert_int_equal(
		preface_find("smtp")->front(&talk, span_of(NULL, 0), &used, &say), TALK_SAY);
	assert_memory_equal(say.data, "220 mx.test ESMTP\r\n", buf_used(&say));
	say.end = 0;
	assert_int_equal(preface_find("smtp")->front(&talk, span_of("EHLO a\r\n", 8), &used, &say),
		TALK_SAY);
	assert_memory_equal(say.data, "250-mx.test\r\n250 STARTTLS\r\n", buf_used(&say));
}

static void a_server_is_heard_and_asked_at_any_split(void **state)
{
	static const struct exchange exchanges[] = {EXCHANGE("", ""),
		EXCHANGE("220-mx.test ESMTP\r\n220-\r\n220 No spam\r\n", "EHLO gatehouse\r\n"),
		EXCHANGE(OFFER, "STARTTLS\r\n"), EXCHANGE("220-2.0.0\r\n220 Ready\r\n", "")};
	static const struct exchange shortly[] = {EXCHANGE("", ""),
		EXCHANGE("220\n", "EHLO gatehouse\r\n"),
		EXCHANGE("250-\n250 starttls\n", "STARTTLS\r\n"), EXCHANGE("220\n", "")};
	const struct preface *smtp = preface_find("smtp");
	(void)state;
	assert_talks_at_any_split(smtp, smtp->back, exchanges, 4);
	assert_talks_at_any_split(smtp, smtp->back, shortly, 4);
}

static void a_greeting_is_passed_on_or_heard_alone(void **state)
{
	static const char greeting[] = "220-mx.test\r\n220 ESMTP\r\n";
	const struct preface *smtp = preface_find("smtp");
	uint8_t room[32];
	struct buf wanted = {.data = room, .size = sizeof room};
	(void)state;
	for (size_t split = 0; split < sizeof greeting - 1; split++) {
		struct conversation server = begin_back();
		wanted.end = 0;
		server.state.greeting = &wanted;
		hear(&server, greeting, split);
		assert_int_equal(buf_used(&wanted), 0);
		hear(&server, greeting + split, sizeof greeting - 1 - split);
		assert_said_text(&server, "EHLO gatehouse\r\n");
		assert_int_equal(buf_used(&wanted), sizeof greeting - 1);
		assert_memory_equal(room, greeting, sizeof greeting - 1);
		server = begin(smtp, smtp->back);
		server.state.is_plain = true;
		hear(&server, greeting, split);
		assert_int_equal(
			hear(&server, greeting + split, sizeof greeting - 1 - split), TALK_DONE);
		assert_said_text(&server, "");
	}
	struct conversation server = begin_back();
	wanted.end = 10;
	server.state.greeting = &wanted;
	assert_int_equal(hear(&server, greeting, sizeof greeting - 1), TALK_REFUSE);
	assert_string_equal(server.state.error, "the greeting is too long");
}

static void a_client_without_tls_comes_to_an_end(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_said_text(&client, GREETING);
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(hear(&client, "AUTH PLAIN AAA\r\n", 16), TALK_SAY);
		assert_said_text(&client, REFUSED);
	}
	assert_int_equal(hear(&client, "NOOP\r\n", 6), TALK_REFUSE);
	assert_said_text(&client, "421 Too many commands without TLS\r\n");
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
		assert_said_text(&client, GREETING "221 Bye\r\n");
	}
}

static void what_is_no_command_is_refused(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00";
	char line[1024];
	(void)state;
	struct conversation client = begin_front();
	assert_int_equal(hear(&client, hello, sizeof hello - 1), TALK_NOT_MINE);
	memset(line, 'x', sizeof line);
	client = begin_front();
	assert_int_equal(hear(&client, line, sizeof line - 1), TALK_MORE);
	assert_int_equal(hear(&client, line, 1), TALK_REFUSE);
	assert_string_equal(client.state.error, "a line is too long");
	client = begin_front();
	assert_int_equal(hear(&client, "EHLO \0\r\n", 8), TALK_REFUSE);
	assert_string_equal(client.state.error, "a line has a NUL");
}

/* What is behind STARTTLS is left for the driver to refuse (CVE-2011-0411). */
static void bytes_behind_the_request_are_not_used(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_int_equal(hear(&client, "STARTTLS\r\nRSET\r\n", 16), TALK_DONE);
	assert_int_equal(client.pending, 6);
}

static void assert_server_refused(const char *heard, const char *said, const char *error)
{
	struct conversation server = begin_back();
	assert_int_equal(hear(&server, heard, strlen(heard)), TALK_REFUSE);
	assert_said_text(&server, said);
	assert_string_equal(server.state.error, error);
}

static void assert_refused_after(
	const char *const *heard, size_t count, const char *last, const char *error)
{
	struct conversation server = begin_back();
	for (size_t i = 0; i < count; i++)
		assert_int_equal(hear(&server, heard[i], strlen(heard[i])), TALK_SAY);
	assert_int_equal(hear(&server, last, strlen(last)), TALK_REFUSE);
	assert_string_equal(server.state.error, error);
}

static void a_server_that_declines_is_refused(void **state)
{
	static const char *const heard[] = {"220 mx.test\r\n", OFFER};
	static const char other[] = "the server does not speak SMTP";
	(void)state;
	assert_server_refused("554 no\r\n", "", "the server greets with an error");
	assert_server_refused("421-busy\r\n421 later\r\n", "", "the server greets with an error");
	assert_server_refused("+OK\r\n", "", other);
	assert_server_refused("220x\r\n", "", other);
	assert_server_refused("22\r\n", "", other);
	assert_server_refused("\r\n", "", other);
	assert_server_refused("220-a\r\n221 b\r\n", "", other);
	assert_server_refused("220 a\r\n250 a\r\n", "", "the server answers before it is asked");
	assert_refused_after(heard, 1, "502 no\r\n", "the server declines EHLO");
	assert_refused_after(
		heard, 1, "250-a\r\n250 XSTARTTLS\r\n", "the server does not offer STARTTLS");
	assert_refused_after(heard, 1, OFFER "220 go\r\n", "the server answers before it is asked");
	assert_refused_after(heard, 2, "454 not now\r\n", "the server declines STARTTLS");
	assert_refused_after(heard, 2, "250 go\r\n", "the server declines STARTTLS");
}

/* Left for the driver to refuse. */
static void bytes_behind_the_answer_are_not_used(void **state)
{
	struct conversation server = begin_back();
	(void)state;
	hear(&server, "220 mx.test\r\n", 13);
	hear(&server, OFFER, strlen(OFFER));
	assert_int_equal(hear(&server, "220 go\r\n250 evil\r\n", 18), TALK_DONE);
	assert_int_equal(server.pending, 10);
}

static void assert_refusal(enum preface_refusal why, const char *words)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	preface_find("smtp")->refuse(why, "too long", &say);
	assert_int_equal(buf_used(&say), strlen(words));
	assert_memory_equal(say.data, words, strlen(words));
}

static void a_refusal_is_in_the_words_of_smtp(void **state)
{
	(void)state;
	assert_refusal(REFUSAL_PROTOCOL, "554 too long\r\n");
	assert_refusal(REFUSAL_UNKNOWN_NAME, "421 too long\r\n");
	assert_refusal(REFUSAL_NO_SERVER, "421 too long\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_greeted_and_answered_at_any_split),
		cmocka_unit_test(the_greeting_has_the_name_of_the_listener),
		cmocka_unit_test(a_server_is_heard_and_asked_at_any_split),
		cmocka_unit_test(a_greeting_is_passed_on_or_heard_alone),
		cmocka_unit_test(a_client_without_tls_comes_to_an_end),
		cmocka_unit_test(a_client_may_quit_at_any_split),
		cmocka_unit_test(what_is_no_command_is_refused),
		cmocka_unit_test(bytes_behind_the_request_are_not_used),
		cmocka_unit_test(a_server_that_declines_is_refused),
		cmocka_unit_test(bytes_behind_the_answer_are_not_used),
		cmocka_unit_test(a_refusal_is_in_the_words_of_smtp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
