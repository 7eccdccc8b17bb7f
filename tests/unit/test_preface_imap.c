/* IMAP's STARTTLS as a conversation: both sides, at every split point, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conversation.h"

#define OFFER    "IMAP4rev1 STARTTLS LOGINDISABLED"
#define GREETING "* OK [CAPABILITY " OFFER "] IMAP server ready, TLS is required\r\n"
#define REFUSED  " NO [PRIVACYREQUIRED] Request TLS by STARTTLS first\r\n"
#define BAD      "* BAD A tag and a command are expected\r\n"
#define ASKED    "1 STARTTLS\r\n"

static struct conversation begin_front(void)
{
	const struct preface *imap = preface_find("imap");
	return begin(imap, imap->front);
}

static struct conversation begin_back(void)
{
	const struct preface *imap = preface_find("imap");
	return begin(imap, imap->back);
}

static void a_client_is_greeted_and_answered_at_any_split(void **state)
{
	static const struct exchange directly[] = {EXCHANGE("", GREETING),
		EXCHANGE("a.1 STARTTLS\r\n", "a.1 OK Begin TLS negotiation now\r\n")};
	static const struct exchange politely[] = {EXCHANGE("", GREETING),
		EXCHANGE("a capability\r\n",
			"* CAPABILITY " OFFER "\r\na OK Capability completed\r\n"),
		EXCHANGE("b Noop\r\n", "b OK Noop completed\r\n"),
		EXCHANGE("c LOGIN alice secret\r\n", "c" REFUSED),
		EXCHANGE("d LOGIN {5}\r\n", "d" REFUSED), EXCHANGE("e STARTTLS x\r\n", "e" REFUSED),
		EXCHANGE("\r\n", BAD), EXCHANGE("STARTTLS\r\n", BAD),
		EXCHANGE("f+ STARTTLS\r\n", BAD),
		EXCHANGE("g  starttls\n", "g OK Begin TLS negotiation now\r\n")};
	const struct preface *imap = preface_find("imap");
	(void)state;
	assert_true(imap->speaks_first);
	assert_talks_at_any_split(imap, imap->front, directly, 2);
	assert_talks_at_any_split(imap, imap->front, politely, 10);
}

static void a_server_is_heard_and_asked_at_any_split(void **state)
{
	static const struct exchange exchanges[] = {EXCHANGE("", ""),
		EXCHANGE("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", ASKED),
		EXCHANGE("* CAPABILITY IMAP4rev1\r\n1 OK go\r\n", "")};
	static const struct exchange shortly[] = {
		EXCHANGE("", ""), EXCHANGE("* ok\n", ASKED), EXCHANGE("1 ok\n", "")};
	const struct preface *imap = preface_find("imap");
	(void)state;
	assert_talks_at_any_split(imap, imap->back, exchanges, 3);
	assert_talks_at_any_split(imap, imap->back, shortly, 3);
}

static void assert_passed_on(const char *heard, const char *wanted)
{
	uint8_t room[64];
	struct buf greeting = {.data = room, .size = sizeof room};
	struct conversation server = begin_back();
	server.state.greeting = &greeting;
	assert_int_equal(hear(&server, heard, strlen(heard)), TALK_SAY);
	assert_said_text(&server, ASKED);
	assert_int_equal(buf_used(&greeting), strlen(wanted));
	assert_memory_equal(room, wanted, strlen(wanted));
}

/* The capabilities in it are those before TLS. */
static void a_greeting_is_passed_on_without_its_capabilities(void **state)
{
	char long_one[128];
	uint8_t room[64];
	struct buf greeting = {.data = room, .size = sizeof room};
	(void)state;
	assert_passed_on("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] Dovecot ready.\r\n",
		"* OK Dovecot ready.\r\n");
	assert_passed_on("* OK [ALERT] Out of order\r\n", "* OK [ALERT] Out of order\r\n");
	assert_passed_on("* ok [capability IMAP4rev1\r\n", "* OK Ready\r\n");
	assert_passed_on("* OK\n", "* OK Ready\r\n");
	struct conversation server = begin_back();
	server.state.greeting = &greeting;
	snprintf(long_one, sizeof long_one, "* OK %060d\r\n", 1);
	assert_int_equal(hear(&server, long_one, strlen(long_one)), TALK_REFUSE);
	assert_string_equal(server.state.error, "the greeting is too long");
}

static void a_greeting_is_heard_alone_at_any_split(void **state)
{
	static const char greeting[] = "* OK ready\r\n";
	(void)state;
	for (size_t split = 0; split < sizeof greeting - 1; split++) {
		struct conversation server = begin_back();
		server.state.is_plain = true;
		hear(&server, greeting, split);
		assert_int_equal(
			hear(&server, greeting + split, sizeof greeting - 1 - split), TALK_DONE);
		assert_said_text(&server, "");
	}
}

static void a_client_without_tls_comes_to_an_end(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_said_text(&client, GREETING);
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(hear(&client, "a SELECT b\r\n", 12), TALK_SAY);
		assert_said_text(&client, "a" REFUSED);
	}
	assert_int_equal(hear(&client, "a NOOP\r\n", 8), TALK_REFUSE);
	assert_said_text(&client, "* BYE Too many commands without TLS\r\n");
	assert_string_equal(client.state.error, "the client does not request TLS");
}

static void a_client_may_log_out_at_any_split(void **state)
{
	static const char logout[] = "x logout\r\n";
	(void)state;
	for (size_t split = 0; split < sizeof logout - 1; split++) {
		struct conversation client = begin_front();
		assert_true(talk_goes_on(hear(&client, logout, split)));
		assert_int_equal(
			hear(&client, logout + split, sizeof logout - 1 - split), TALK_LEAVE);
		assert_said_text(
			&client, GREETING "* BYE Logging out\r\nx OK Logout completed\r\n");
	}
}

static void what_is_no_command_is_refused(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00";
	char line[2048];
	(void)state;
	struct conversation client = begin_front();
	assert_int_equal(hear(&client, hello, sizeof hello - 1), TALK_NOT_MINE);
	memset(line, 'x', sizeof line);
	client = begin_front();
	hear(&client, line, 100);
	hear(&client, " NOOP\r\n", 7);
	assert_said_text(&client, GREETING BAD);
	assert_int_equal(hear(&client, line, sizeof line - 1), TALK_MORE);
	assert_int_equal(hear(&client, line, 1), TALK_REFUSE);
	assert_string_equal(client.state.error, "a line is too long");
	client = begin_front();
	assert_int_equal(hear(&client, "a NOOP\0\r\n", 9), TALK_REFUSE);
	assert_string_equal(client.state.error, "a line has a NUL");
}

/* What is behind STARTTLS is left for the driver to refuse. */
static void bytes_behind_the_request_are_not_used(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	assert_int_equal(hear(&client, "a STARTTLS\r\nb NOOP\r\n", 20), TALK_DONE);
	assert_int_equal(client.pending, 8);
}

static void assert_server_refused(const char *greeting, const char *answer, const char *error)
{
	struct conversation server = begin_back();
	if (answer) {
		assert_int_equal(hear(&server, greeting, strlen(greeting)), TALK_SAY);
		assert_said_text(&server, ASKED);
		greeting = answer;
	}
	assert_int_equal(hear(&server, greeting, strlen(greeting)), TALK_REFUSE);
	assert_said_text(&server, "");
	assert_string_equal(server.state.error, error);
}

static void a_server_that_declines_is_refused(void **state)
{
	static const char other[] = "the server does not speak IMAP";
	static const char declines[] = "the server declines STARTTLS";
	(void)state;
	assert_server_refused("* BYE busy\r\n", NULL, "the server greets with an error");
	assert_server_refused("* PREAUTH hello alice\r\n", NULL,
		"the server greets as if there had been a login");
	assert_server_refused("* NO\r\n", NULL, other);
	assert_server_refused("+OK\r\n", NULL, other);
	assert_server_refused("* OKAY\r\n", NULL, other);
	assert_server_refused("\r\n", NULL, other);
	assert_server_refused("* OK\r\n1 OK\r\n", NULL, "the server answers before it is asked");
	assert_server_refused("* OK\r\n", "1 NO later\r\n", declines);
	assert_server_refused("* OK\r\n", "1 BAD what\r\n", declines);
	assert_server_refused("* OK\r\n", "* BYE\r\n", declines);
	assert_server_refused("* OK\r\n", "2 OK\r\n", other);
	assert_server_refused("* OK\r\n", "*\r\n*\r\n*\r\n*\r\n*\r\n*\r\n*\r\n*\r\n*\r\n*\r\n",
		"the server does not answer STARTTLS");
}

/* Left for the driver to refuse. */
static void bytes_behind_the_answer_are_not_used(void **state)
{
	struct conversation server = begin_back();
	(void)state;
	hear(&server, "* OK\r\n", 6);
	assert_int_equal(hear(&server, "1 OK\r\n* OK evil\r\n", 17), TALK_DONE);
	assert_int_equal(server.pending, 11);
}

static void a_refusal_is_in_the_words_of_imap(void **state)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	(void)state;
	preface_find("imap")->refuse(REFUSAL_PROTOCOL, "too long", &say);
	assert_int_equal(buf_used(&say), 16);
	assert_memory_equal(say.data, "* BYE too long\r\n", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_greeted_and_answered_at_any_split),
		cmocka_unit_test(a_server_is_heard_and_asked_at_any_split),
		cmocka_unit_test(a_greeting_is_passed_on_without_its_capabilities),
		cmocka_unit_test(a_greeting_is_heard_alone_at_any_split),
		cmocka_unit_test(a_client_without_tls_comes_to_an_end),
		cmocka_unit_test(a_client_may_log_out_at_any_split),
		cmocka_unit_test(what_is_no_command_is_refused),
		cmocka_unit_test(bytes_behind_the_request_are_not_used),
		cmocka_unit_test(a_server_that_declines_is_refused),
		cmocka_unit_test(bytes_behind_the_answer_are_not_used),
		cmocka_unit_test(a_refusal_is_in_the_words_of_imap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
