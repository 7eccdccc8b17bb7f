/* LDAP's StartTLS as a conversation: both sides, at every split point, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "conversation.h"

#define OID "1.3.6.1.4.1.1466.20037"

#define REQUEST "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" OID
#define SUCCESS "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"

static void a_request_is_answered_at_any_split(void **state)
{
	static const struct exchange exchange = EXCHANGE(REQUEST, SUCCESS);
	const struct preface *ldap = preface_find("ldap");
	(void)state;
	assert_talks_at_any_split(ldap, ldap->front, &exchange, 1);
}

static void a_server_is_asked_and_heard_at_any_split(void **state)
{
	static const struct exchange exchanges[] = {EXCHANGE("", REQUEST), EXCHANGE(SUCCESS, "")};
	const struct preface *ldap = preface_find("ldap");
	(void)state;
	assert_talks_at_any_split(ldap, ldap->back, exchanges, 2);
}

/* The driver waits for bytes that are part of the message, and for no others. */
static void no_byte_beyond_the_message_is_wanted(void **state)
{
	const struct preface *ldap = preface_find("ldap");
	(void)state;
	for (size_t len = 1; len < sizeof REQUEST - 1; len++) {
		struct conversation client = begin(ldap, ldap->front);
		assert_int_equal(hear(&client, REQUEST, len), TALK_MORE);
		assert_true(client.state.want <= sizeof REQUEST - 1);
	}
}

static void bytes_behind_the_request_are_not_used(void **state)
{
	const struct preface *ldap = preface_find("ldap");
	struct conversation client = begin(ldap, ldap->front);
	(void)state;
	assert_int_equal(hear(&client, REQUEST "\x30", sizeof REQUEST), TALK_DONE);
	assert_int_equal(client.pending, 1);
}

static enum talk front_of(const char *data, size_t len)
{
	const struct preface *ldap = preface_find("ldap");
	struct conversation client = begin(ldap, ldap->front);
	return hear(&client, data, len);
}

static void other_messages_are_refused(void **state)
{
	(void)state;
	assert_int_equal(front_of("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", 14),
		TALK_REFUSE); /* a bind */
	assert_int_equal(
		front_of("\x30\x0a\x02\x01\x01\x77\x05\x80\x03\x31\x2e\x33", 12), TALK_REFUSE);
	assert_int_equal(front_of("\x30\x00", 2), TALK_REFUSE);
	assert_int_equal(front_of("\x30\x80\x02\x01\x01", 5), TALK_REFUSE);
	assert_int_equal(front_of("\x30\x84\xff\xff\xff\xff", 6), TALK_REFUSE);
	assert_int_equal(front_of("\x30\x84\xff\xff\xff", 5), TALK_MORE);
	assert_int_equal(front_of("\x16\x03\x01\x02\x00", 5), TALK_NOT_MINE);
	assert_int_equal(front_of("GET / HTTP/1.0", 14), TALK_NOT_MINE);
}

static void a_server_that_declines_is_refused(void **state)
{
	static const char declined[] = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00";
	const struct preface *ldap = preface_find("ldap");
	struct conversation server = begin(ldap, ldap->back);
	(void)state;
	assert_int_equal(hear(&server, declined, sizeof declined - 1), TALK_REFUSE);
	assert_string_equal(server.state.error, "the server declines StartTLS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered_at_any_split),
		cmocka_unit_test(a_server_is_asked_and_heard_at_any_split),
		cmocka_unit_test(no_byte_beyond_the_message_is_wanted),
		cmocka_unit_test(bytes_behind_the_request_are_not_used),
		cmocka_unit_test(other_messages_are_refused),
		cmocka_unit_test(a_server_that_declines_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
