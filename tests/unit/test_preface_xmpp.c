/* XMPP's STARTTLS as a conversation: both sides, at every split point, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conversation.h"

#define NS       "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'"
#define TLS_NS   " xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
#define STREAM   "<?xml version='1.0'?><stream:stream " NS
#define OPENED   STREAM " id='starttls'"
#define FEATURES "<stream:features><starttls" TLS_NS "><required/></starttls></stream:features>"
#define REQUEST  "<starttls" TLS_NS "/>"
#define PROCEED  "<proceed" TLS_NS "/>"
#define ERRORS   " xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
#define ERROR(condition, words)                                                                    \
	"<stream:error><" condition ERRORS "/><text" ERRORS ">" words                              \
	"</text></stream:error></stream:stream>"

static struct conversation begin_front(void)
{
	const struct preface *xmpp = preface_find("xmpp");
	return begin(xmpp, xmpp->front);
}

static struct conversation begin_back(void)
{
	const struct preface *xmpp = preface_find("xmpp");
	return begin(xmpp, xmpp->back);
}

static enum talk hear_text(struct conversation *conversation, const char *text)
{
	return hear(conversation, text, strlen(text));
}

static void a_client_is_answered_at_any_split(void **state)
{
	static const struct exchange usual[] = {
		EXCHANGE(STREAM " to='chat.test'>", OPENED " from='chat.test'>" FEATURES),
		EXCHANGE(REQUEST, PROCEED)};
	static const struct exchange unusual[] = {EXCHANGE(" \r\n<?xml version=\"1.0\"?>", ""),
		EXCHANGE("\n<stream:stream a = '>' to=\"a'b\"\txmlns= \"jabber:client\" >",
			OPENED ">" FEATURES),
		EXCHANGE("\n<starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\">", ""),
		EXCHANGE("</starttls>", PROCEED)};
	const struct preface *xmpp = preface_find("xmpp");
	(void)state;
	assert_false(xmpp->speaks_first);
	assert_talks_at_any_split(xmpp, xmpp->front, usual, 2);
	assert_talks_at_any_split(xmpp, xmpp->front, unusual, 4);
}

static void a_server_is_heard_and_asked_at_any_split(void **state)
{
	static const struct exchange usual[] = {EXCHANGE("", STREAM ">"),
		EXCHANGE(STREAM " id='1' from='chat.test'>" FEATURES, REQUEST),
		EXCHANGE(PROCEED, "")};
	static const struct exchange unusual[] = {EXCHANGE("", STREAM ">"),
		EXCHANGE("<stream:stream id='1'>\n<stream:features>\n"
			 "<mechanisms><mechanism>PLAIN</mechanism></mechanisms>"
			 "<starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/><c a='>'/>"
			 "</stream:features>",
			REQUEST),
		EXCHANGE("\n" PROCEED, "")};
	const struct preface *xmpp = preface_find("xmpp");
	(void)state;
	assert_talks_at_any_split(xmpp, xmpp->back, usual, 3);
	assert_talks_at_any_split(xmpp, xmpp->back, unusual, 3);
}

static void the_stream_has_the_name_that_is_wanted(void **state)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	struct talk_state talk = {.host = "chat.test"};
	size_t used = 0;
	(void)state;
	preface_find("xmpp")->back(&talk, span_of(NULL, 0), &used, &say);
	assert_int_equal(buf_used(&say), strlen(STREAM " to='chat.test'>"));
	assert_memory_equal(say.data, STREAM " to='chat.test'>", buf_used(&say));
}

static void assert_client_refused(const char *heard, const char *said, const char *error)
{
	struct conversation client = begin_front();
	assert_int_equal(hear_text(&client, heard), TALK_REFUSE);
	assert_said_text(&client, said);
	assert_string_equal(client.state.error, error);
}

static void a_client_that_does_not_request_tls_is_refused(void **state)
{
	static const char opened[] = STREAM ">";
	static const char none[] = "the client does not request TLS";
	(void)state;
	struct conversation client = begin_front();
	hear_text(&client, opened);
	assert_said_text(&client, OPENED ">" FEATURES);
	assert_int_equal(hear_text(&client, "<auth mechanism='PLAIN'>"), TALK_REFUSE);
	assert_said_text(&client, ERROR("policy-violation", "request TLS by starttls first"));
	assert_string_equal(client.state.error, none);
	client = begin_front();
	hear_text(&client, opened);
	assert_int_equal(hear_text(&client, "<starttls/>"), TALK_REFUSE);
	assert_string_equal(client.state.error, none);
	assert_client_refused("<iq/>", OPENED ">" ERROR("bad-format", "a stream is expected"),
		"the client does not open a stream");
	assert_client_refused("<stream:stream xmlns='jabber:server' to='a<b'>",
		OPENED ">" ERROR("invalid-namespace", "streams of clients only"),
		"the stream is not that of a client");
	assert_client_refused("<stream:stream xmlns=>",
		OPENED ">" ERROR("invalid-namespace", "streams of clients only"),
		"the stream is not that of a client");
}

static void what_is_no_tag_is_another_protocol(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00";
	(void)state;
	struct conversation client = begin_front();
	assert_int_equal(hear(&client, hello, sizeof hello - 1), TALK_NOT_MINE);
	client = begin_front();
	assert_int_equal(hear(&client, "<a\0>", 4), TALK_REFUSE);
	assert_string_equal(client.state.error, "a tag has a NUL");
	client = begin_front();
	assert_int_equal(hear_text(&client, "<stream:stream to='>"), TALK_MORE);
}

static void a_client_may_leave(void **state)
{
	struct conversation client = begin_front();
	(void)state;
	hear_text(&client, STREAM ">");
	assert_said_text(&client, OPENED ">" FEATURES);
	assert_int_equal(hear_text(&client, "</stream:stream>"), TALK_LEAVE);
	assert_said_text(&client, "</stream:stream>");
}

/* What is behind the request, or the answer, is left for the driver to refuse. */
static void bytes_behind_are_not_used(void **state)
{
	struct conversation client = begin_front(), server = begin_back();
	(void)state;
	hear_text(&client, STREAM ">");
	assert_int_equal(hear_text(&client, REQUEST "<iq/>"), TALK_DONE);
	assert_int_equal(client.pending, 5);
	client = begin_front();
	hear_text(&client, STREAM ">");
	assert_int_equal(hear(&client, REQUEST "\0", sizeof REQUEST), TALK_DONE);
	assert_int_equal(client.pending, 1);
	hear_text(&server, STREAM ">" FEATURES);
	assert_int_equal(hear_text(&server, PROCEED "\n"), TALK_DONE);
	assert_int_equal(server.pending, 1);
}

static void assert_server_refused(const char *heard, const char *error)
{
	struct conversation server = begin_back();
	assert_int_equal(hear_text(&server, heard), TALK_REFUSE);
	assert_string_equal(server.state.error, error);
}

static void assert_answer_refused(const char *answer, const char *error)
{
	struct conversation server = begin_back();
	assert_int_equal(hear_text(&server, STREAM ">" FEATURES), TALK_SAY);
	assert_int_equal(hear_text(&server, answer), TALK_REFUSE);
	assert_string_equal(server.state.error, error);
}

static void a_server_that_declines_is_refused(void **state)
{
	static const char other[] = "the server does not speak XMPP";
	static const char none[] = "the server does not offer STARTTLS";
	struct conversation server = begin_back();
	(void)state;
	assert_int_equal(hear_text(&server, "220 mx.test\r\n"), TALK_NOT_MINE);
	assert_server_refused("<html>", other);
	assert_server_refused(STREAM ">" STREAM ">", other);
	assert_server_refused(STREAM "/>", none);
	assert_server_refused(STREAM "><stream:features/>", none);
	assert_server_refused(STREAM "><stream:features><a/></stream:features>", none);
	assert_server_refused(STREAM "><stream:features><starttls/></stream:features>", none);
	assert_server_refused(
		STREAM "><stream:error><host-unknown/>", "the server answers with an error");
	assert_server_refused(STREAM ">" FEATURES PROCEED, "the server answers before it is asked");
	assert_answer_refused("<failure" TLS_NS "/>", "the server declines STARTTLS");
	assert_answer_refused("<stream:error>", "the server answers with an error");
	assert_answer_refused("<proceed/>", other);
	assert_answer_refused("<proceed" TLS_NS ">", other);
}

static void assert_refusal(enum preface_refusal why, const char *wanted)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	preface_find("xmpp")->refuse(why, "a<b", &say);
	assert_int_equal(buf_used(&say), strlen(wanted));
	assert_memory_equal(say.data, wanted, strlen(wanted));
}

static void a_refusal_is_in_the_words_of_xmpp(void **state)
{
	(void)state;
	assert_refusal(REFUSAL_PROTOCOL, ERROR("policy-violation", "a?b"));
	assert_refusal(REFUSAL_UNKNOWN_NAME, OPENED ">" ERROR("host-unknown", "a?b"));
	assert_refusal(REFUSAL_LIMIT, OPENED ">" ERROR("resource-constraint", "a?b"));
	assert_refusal(REFUSAL_DRAINED, OPENED ">" ERROR("system-shutdown", "a?b"));
	assert_refusal(REFUSAL_NO_SERVER, OPENED ">" ERROR("remote-connection-failed", "a?b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_answered_at_any_split),
		cmocka_unit_test(a_server_is_heard_and_asked_at_any_split),
		cmocka_unit_test(the_stream_has_the_name_that_is_wanted),
		cmocka_unit_test(a_client_that_does_not_request_tls_is_refused),
		cmocka_unit_test(what_is_no_tag_is_another_protocol),
		cmocka_unit_test(a_client_may_leave),
		cmocka_unit_test(bytes_behind_are_not_used),
		cmocka_unit_test(a_server_that_declines_is_refused),
		cmocka_unit_test(a_refusal_is_in_the_words_of_xmpp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
