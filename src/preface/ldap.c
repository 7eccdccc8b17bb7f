/*
 * LDAP's StartTLS: an extended operation that the client requests and the server grants before anything else
 * (RFC 4511 sections 4.12 and 4.14; RFC 4513 section 3). Messages are BER (X.690) of definite length.
 */
#include "preface/preface.h"

#define START_TLS_OID "1.3.6.1.4.1.1466.20037"
#define MESSAGE_MAX   1024

enum { /* RFC 4511: tags, and codes of results */
	TAG_INTEGER = 0x02,
	TAG_ENUMERATED = 0x0a,
	TAG_SEQUENCE = 0x30,
	TAG_EXTENDED_REQUEST = 0x77,
	TAG_EXTENDED_RESPONSE = 0x78,
	TAG_REQUEST_NAME = 0x80,
	RESULT_SUCCESS = 0,
	RESULT_CONFIDENTIALITY_REQUIRED = 13,
	RESULT_UNAVAILABLE = 52,
};

/* A tag and a length; false: they are not all there, or longer than a message may be. */
static bool take_header(struct span *cursor, unsigned *tag, size_t *len)
{
	unsigned octet;
	if (!span_take_u8(cursor, tag) || !span_take_u8(cursor, &octet))
		return false;
	*len = octet;
	if (octet < 0x80)
		return true;
	*len = 0;
	for (unsigned octets = octet & 0x7f; octets > 0; octets--) {
		if (!span_take_u8(cursor, &octet) || *len > MESSAGE_MAX)
			return false;
		*len = *len << 8 | octet;
	}
	return true;
}

static bool take_element(struct span *cursor, unsigned wanted, struct span *out)
{
	unsigned tag;
	size_t len;
	return take_header(cursor, &tag, &len) && tag == wanted && span_take(cursor, len, out);
}

static enum talk refuse_ldap(struct talk_state *state, const char *error)
{
	state->error = error;
	return TALK_REFUSE;
}

/* The message that `heard` begins with. */
static enum talk take_message(
	struct talk_state *state, struct span heard, struct span *message, size_t *used)
{
	struct span cursor = heard;
	unsigned tag;
	size_t len;
	if (heard.data[0] != TAG_SEQUENCE)
		return TALK_NOT_MINE;
	state->want = heard.len + 1;
	if (heard.len < 2 || (heard.data[1] > 0x80 && heard.len < 2u + (heard.data[1] & 0x7f)))
		return TALK_MORE;
	if (heard.data[1] == 0x80 || !take_header(&cursor, &tag, &len) || len > MESSAGE_MAX)
		return refuse_ldap(state, "not an LDAP message, or too long");
	state->want = heard.len - cursor.len + len;
	if (!span_take(&cursor, len, message))
		return TALK_MORE;
	*used = heard.len - cursor.len;
	return TALK_DONE;
}

/* LDAPMessage: an id of one to four octets, and success for it. */
static void say_success(struct buf *say, struct span id)
{
	const uint8_t size = (uint8_t)(2 + id.len + 9);
	const uint8_t head[] = {TAG_SEQUENCE, size, TAG_INTEGER, (uint8_t)id.len};
	const uint8_t result[] = {
		TAG_EXTENDED_RESPONSE, 7, TAG_ENUMERATED, 1, RESULT_SUCCESS, 4, 0, 4, 0};
	preface_say(say, head, sizeof head);
	preface_say(say, id.data, id.len);
	preface_say(say, result, sizeof result);
}

static enum talk ldap_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span message, id, request, name;
	enum talk talk = take_message(state, heard, &message, used);
	if (talk != TALK_DONE)
		return talk;
	if (!take_element(&message, TAG_INTEGER, &id) || id.len < 1 || id.len > 4)
		return refuse_ldap(state, "not an LDAP message");
	if (!take_element(&message, TAG_EXTENDED_REQUEST, &request) ||
		!take_element(&request, TAG_REQUEST_NAME, &name) ||
		!span_equal(name, span_of_string(START_TLS_OID)))
		return refuse_ldap(state, "the client does not request StartTLS");
	say_success(say, id);
	return TALK_DONE;
}

static enum talk ldap_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	static const uint8_t head[] = {TAG_SEQUENCE, 29, TAG_INTEGER, 1, 1, TAG_EXTENDED_REQUEST,
		24, TAG_REQUEST_NAME, sizeof START_TLS_OID - 1};
	struct span message, id, response, result;
	if (heard.len == 0) {
		preface_say(say, head, sizeof head);
		preface_say(say, START_TLS_OID, sizeof START_TLS_OID - 1);
		return TALK_SAY;
	}
	enum talk talk = take_message(state, heard, &message, used);
	if (talk != TALK_DONE)
		return talk;
	if (!take_element(&message, TAG_INTEGER, &id) ||
		!take_element(&message, TAG_EXTENDED_RESPONSE, &response) ||
		!take_element(&response, TAG_ENUMERATED, &result) || result.len != 1)
		return refuse_ldap(state, "the server does not answer StartTLS");
	if (result.data[0] != RESULT_SUCCESS)
		return refuse_ldap(state, "the server declines StartTLS");
	return TALK_DONE;
}

/* A Notice of Disconnection (section 4.4.1). */
static void ldap_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	uint8_t result =
		why == REFUSAL_PROTOCOL ? RESULT_CONFIDENTIALITY_REQUIRED : RESULT_UNAVAILABLE;
	const uint8_t notice[] = {TAG_SEQUENCE, 36, TAG_INTEGER, 1, 0, TAG_EXTENDED_RESPONSE, 31,
		TAG_ENUMERATED, 1, result, 4, 0, 4, 0, 0x8a, 22};
	(void)words;
	preface_say(say, notice, sizeof notice);
	preface_say(say, "1.3.6.1.4.1.1466.20036", 22);
}

extern const struct preface ldap_preface;
const struct preface ldap_preface = {
	.name = "ldap",
	.title = "LDAP",
	.is_starttls = true,
	.front = ldap_front,
	.back = ldap_back,
	.refuse = ldap_refuse,
};
