/* POP3's STLS as a conversation: both sides, at every split point, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "preface/preface.h"

#define GREETING "+OK POP3 server ready, TLS is required\r\n"
#define CAPA     "+OK Capability list follows\r\nSTLS\r\n.\r\n"
#define GRANTED  "+OK Begin TLS negotiation\r\n"
#define REFUSED  "-ERR Request TLS by STLS first\r\n"

/* What one side of a conversation heard and said. */
struct talking {
	talk_fn *fn;
	struct talk_state state;
	uint8_t heard[4096];
	size_t len, pending; /* of `heard`: what has come, and how much of it is not used */
	char said[4096];
};

static struct talking begin(talk_fn *fn)
{
	return (struct talking){.fn = fn};
}

static enum talk turn(struct talking *talking)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	size_t used = 0;
	const uint8_t *data = talking->heard + talking->len - talking->pending;
	enum talk talk = talking->fn(&talking->state, span_of(data, talking->pending), &used, &say);
	assert_true(used <= talking->pending);
	assert_true(talk != TALK_MORE || (used == 0 && talking->state.want > talking->pending));
	talking->pending -= used;
	strncat(talking->said, (const char *)say.data, buf_used(&say));
	return talk;
}

/* All that comes of these bytes: until more are needed, or the end. */
static enum talk hear(struct talking *talking, const char *data, size_t len)
{
	enum talk talk;
	memcpy(talking->heard + talking->len, data, len);
	talking->len += len;
	talking->pending += len;
	while ((talk = turn(talking)) == TALK_SAY)
		;
	return talk;
}

static void converse_at_any_split(talk_fn *fn, const char *heard, const char *said)
{
	size_t len = strlen(heard);
	for (size_t split = 0; split <= len; split++) {
		struct talking talking = begin(fn);
		enum talk talk = hear(&talking, heard, split);
		assert_int_equal(talk, split < len ? TALK_MORE : TALK_DONE);
		if (split < len)
			talk = hear(&talking, heard + split, len - split);
		assert_int_equal(talk, TALK_DONE);
		assert_int_equal(talking.pending, 0);
		assert_string_equal(talking.said, said);
	}
}

static void a_client_is_greeted_and_answered_at_any_split(void **state)
{
	const struct preface *pop3 = preface_find("pop3");
	(void)state;
	assert_true(pop3->speaks_first);
	converse_at_any_split(pop3->front, "STLS\r\n", GREETING GRANTED);
	converse_at_any_split(pop3->front, "capa\r\nUSER alice\r\nNoOp\r\n\r\nSTLS x\r\nstls\n",
		GREETING CAPA REFUSED "+OK\r\n" REFUSED REFUSED GRANTED);
}

static void a_server_is_heard_and_asked_at_any_split(void **state)
{
	talk_fn *back = preface_find("pop3")->back;
	static const char greeting[] = "+OK Dovecot ready. <1.2@c>\r\n", granted[] = "+OK\r\n";
	(void)state;
	for (size_t first = 0; first <= sizeof greeting - 1; first++)
		for (size_t second = 0; second <= sizeof granted - 1; second++) {
			struct talking talking = begin(back);
			assert_int_equal(turn(&talking), TALK_MORE);
			hear(&talking, greeting, first);
			assert_string_equal(
				talking.said, first < sizeof greeting - 1 ? "" : "STLS\r\n");
			hear(&talking, greeting + first, sizeof greeting - 1 - first);
			assert_string_equal(talking.said, "STLS\r\n");
			bool is_whole = second == sizeof granted - 1;
			assert_int_equal(
				hear(&talking, granted, second), is_whole ? TALK_DONE : TALK_MORE);
			if (!is_whole)
				assert_int_equal(hear(&talking, granted + second,
							 sizeof granted - 1 - second),
					TALK_DONE);
			assert_int_equal(talking.pending, 0);
		}
}

static void a_client_without_tls_comes_to_an_end(void **state)
{
	struct talking talking = begin(preface_find("pop3")->front);
	char said[1024] = GREETING;
	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(hear(&talking, "RETR 1\r\n", 8), TALK_MORE);
		strcat(said, REFUSED);
	}
	assert_string_equal(talking.said, said);
	assert_int_equal(hear(&talking, "NOOP\r\n", 6), TALK_REFUSE);
	assert_string_equal(talking.said + strlen(said), "-ERR Too many commands without TLS\r\n");
	assert_string_equal(talking.state.error, "the client does not request TLS");
}

static void a_client_may_quit(void **state)
{
	struct talking talking = begin(preface_find("pop3")->front);
	(void)state;
	assert_int_equal(hear(&talking, "quit\r\n", 6), TALK_REFUSE);
	assert_string_equal(talking.said, GREETING "+OK Bye\r\n");
	assert_string_equal(talking.state.error, "the client quits without TLS");
}

static void what_is_no_command_is_refused(void **state)
{
	talk_fn *front = preface_find("pop3")->front;
	static const char hello[] = "\x16\x03\x01\x02\x00";
	char line[512];
	(void)state;
	struct talking talking = begin(front);
	assert_int_equal(hear(&talking, hello, sizeof hello - 1), TALK_NOT_MINE);
	memset(line, 'x', sizeof line);
	talking = begin(front);
	assert_int_equal(hear(&talking, line, sizeof line - 1), TALK_MORE);
	assert_int_equal(hear(&talking, line, 1), TALK_REFUSE);
	assert_string_equal(talking.state.error, "a line is too long");
	assert_string_equal(talking.said, GREETING);
}

/* What is behind STLS is left for the driver to refuse. */
static void bytes_behind_the_request_are_not_used(void **state)
{
	struct talking talking = begin(preface_find("pop3")->front);
	(void)state;
	assert_int_equal(hear(&talking, "STLS\r\nUSER eve\r\n", 16), TALK_DONE);
	assert_int_equal(talking.pending, 10);
}

static void assert_server_refused(const char *heard, const char *said, const char *error)
{
	struct talking talking = begin(preface_find("pop3")->back);
	assert_int_equal(hear(&talking, heard, strlen(heard)), TALK_REFUSE);
	assert_string_equal(talking.said, said);
	assert_string_equal(talking.state.error, error);
}

static void a_server_that_declines_is_refused(void **state)
{
	struct talking talking = begin(preface_find("pop3")->back);
	(void)state;
	assert_int_equal(hear(&talking, "+OK\r\n", 5), TALK_MORE);
	assert_int_equal(hear(&talking, "-ERR unknown\r\n", 14), TALK_REFUSE);
	assert_string_equal(talking.said, "STLS\r\n");
	assert_string_equal(talking.state.error, "the server declines STLS");
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
	preface_find("pop3")->refuse("too long", &say);
	assert_int_equal(buf_used(&say), 15);
	assert_memory_equal(say.data, "-ERR too long\r\n", 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_greeted_and_answered_at_any_split),
		cmocka_unit_test(a_server_is_heard_and_asked_at_any_split),
		cmocka_unit_test(a_client_without_tls_comes_to_an_end),
		cmocka_unit_test(a_client_may_quit),
		cmocka_unit_test(what_is_no_command_is_refused),
		cmocka_unit_test(bytes_behind_the_request_are_not_used),
		cmocka_unit_test(a_server_that_declines_is_refused),
		cmocka_unit_test(a_refusal_is_in_the_words_of_pop3),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
