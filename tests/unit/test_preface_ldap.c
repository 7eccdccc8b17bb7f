/* LDAP's StartTLS as a conversation: both sides, at every split point, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "preface/preface.h"

#define OID "1.3.6.1.4.1.1466.20037"

static const char request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" OID;
static const char success[] = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";

static uint8_t room[PREFACE_SAY_MAX];

static enum talk talk(talk_fn *fn, struct talk_state *state, const void *data, size_t len,
	size_t *used, struct buf *say)
{
	*used = 0;
	*say = (struct buf){.data = room, .size = sizeof room};
	return fn(state, span_of(data, len), used, say);
}

static void a_request_is_answered_at_any_split(void **state)
{
	const struct preface *ldap = preface_find("ldap");
	size_t used;
	struct buf say;
	(void)state;
	for (size_t len = 0; len < sizeof request - 1; len++) {
		struct talk_state talking = {0};
		assert_int_equal(talk(ldap->front, &talking, request, len, &used, &say), TALK_MORE);
		assert_int_equal(used, 0);
		assert_int_equal(buf_used(&say), 0);
		assert_true(talking.want > len && talking.want <= sizeof request - 1);
	}
	struct talk_state talking = {0};
	assert_int_equal(
		talk(ldap->front, &talking, request, sizeof request - 1, &used, &say), TALK_DONE);
	assert_int_equal(used, sizeof request - 1);
	assert_int_equal(buf_used(&say), sizeof success - 1);
	assert_memory_equal(say.data, success, sizeof success - 1);
}

static void a_server_is_asked_and_heard_at_any_split(void **state)
{
	const struct preface *ldap = preface_find("ldap");
	size_t used;
	struct buf say;
	(void)state;
	for (size_t len = 0; len <= sizeof success - 1; len++) {
		struct talk_state talking = {0};
		assert_int_equal(talk(ldap->back, &talking, "", 0, &used, &say), TALK_SAY);
		assert_int_equal(buf_used(&say), sizeof request - 1);
		assert_memory_equal(say.data, request, sizeof request - 1);
		bool is_whole = len == sizeof success - 1;
		assert_int_equal(talk(ldap->back, &talking, success, len, &used, &say),
			is_whole ? TALK_DONE : TALK_MORE);
		assert_int_equal(used, is_whole ? len : 0);
	}
}

static enum talk front_of(const char *data, size_t len)
{
	struct talk_state talking = {0};
	size_t used;
	struct buf say;
	return talk(preface_find("ldap")->front, &talking, data, len, &used, &say);
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
	struct talk_state talking = {0};
	size_t used;
	struct buf say;
	(void)state;
	talk(ldap->back, &talking, "", 0, &used, &say);
	assert_int_equal(talk(ldap->back, &talking, declined, sizeof declined - 1, &used, &say),
		TALK_REFUSE);
	assert_string_equal(talking.error, "the server declines StartTLS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered_at_any_split),
		cmocka_unit_test(a_server_is_asked_and_heard_at_any_split),
		cmocka_unit_test(other_messages_are_refused),
		cmocka_unit_test(a_server_that_declines_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
