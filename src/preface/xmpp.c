/*
 * XMPP's STARTTLS for clients: both sides open a stream, the server lists its features, the client requests TLS, and
 * both begin anew within it (RFC 6120 sections 4, 5 and 9.1). Of XML there is as much as its section 11 leaves.
 */
#include "preface/lines.h"
#include "preface/tags.h"

#define STREAMS "xmlns:stream='http://etherx.jabber.org/streams'"
#define OPEN_STREAM                                                                                \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:client' " STREAMS " version='1.0'"
#define TLS_NS     " xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
#define STREAMS_NS " xmlns='urn:ietf:params:xml:ns:xmpp-streams'"

enum { /* `front` */
	PHASE_CLOSED,
	PHASE_OPEN,
	PHASE_REQUEST_OPEN, /* its end tag is missing */
};

enum { /* `back` */
	PHASE_STREAM,
	PHASE_FEATURES,
	PHASE_FEATURE,          /* within them */
	PHASE_FEATURE_STARTTLS, /* and TLS was one */
	PHASE_ANSWER,
};

static bool is_of_tls(const struct tag *tag)
{
	return span_equal(
		preface_attribute(tag, "xmlns"), span_of_string("urn:ietf:params:xml:ns:xmpp-tls"));
}

static void say_error(struct buf *say, const char *condition, const char *words)
{
	preface_say_text(say, "<stream:error><");
	preface_say_text(say, condition);
	preface_say_text(say, STREAMS_NS "/><text" STREAMS_NS ">");
	for (; *words; words++)
		preface_say(say, strchr("<>&", *words) ? "?" : words, 1);
	preface_say_text(say, "</text></stream:error></stream:stream>");
}

/* The id is for what a login signs, and there is none before the stream within TLS. */
static void say_stream(struct buf *say, struct span from)
{
	preface_say_text(say, OPEN_STREAM " id='starttls'");
	preface_say_attribute(say, "from", from);
	preface_say_text(say, ">");
}

static enum talk open_stream(struct talk_state *state, const struct tag *tag, struct buf *say)
{
	if (preface_is_tag(tag, "?xml"))
		return TALK_SAY;
	say_stream(say, preface_attribute(tag, "to"));
	if (!preface_is_tag(tag, "stream:stream") || tag->is_empty) {
		say_error(say, "bad-format", "a stream is expected");
		return preface_refused(state, "the client does not open a stream");
	}
	if (!span_equal(preface_attribute(tag, "xmlns"), span_of_string("jabber:client"))) {
		say_error(say, "invalid-namespace", "streams of clients only");
		return preface_refused(state, "the stream is not that of a client");
	}
	preface_say_text(say,
		"<stream:features><starttls" TLS_NS "><required/></starttls></stream:features>");
	state->phase = PHASE_OPEN;
	return TALK_SAY;
}

static enum talk grant_tls(struct buf *say)
{
	preface_say_text(say, "<proceed" TLS_NS "/>");
	return TALK_DONE;
}

static enum talk take_request(struct talk_state *state, const struct tag *tag, struct buf *say)
{
	if (state->phase == PHASE_REQUEST_OPEN && preface_is_tag(tag, "/starttls"))
		return grant_tls(say);
	if (preface_is_tag(tag, "/stream:stream")) {
		preface_say_text(say, "</stream:stream>");
		return TALK_LEAVE;
	}
	if (state->phase == PHASE_OPEN && preface_is_tag(tag, "starttls") && is_of_tls(tag)) {
		state->phase = PHASE_REQUEST_OPEN;
		return tag->is_empty ? grant_tls(say) : TALK_SAY;
	}
	say_error(say, "policy-violation", "request TLS by starttls first");
	return preface_refused(state, "the client does not request TLS");
}

static enum talk xmpp_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct tag tag;
	enum talk talk = preface_take_tag(state, heard, false, &tag, used);
	if (talk != TALK_DONE)
		return talk;
	return state->phase == PHASE_CLOSED ? open_stream(state, &tag, say)
					    : take_request(state, &tag, say);
}

static bool is_within_features(const struct talk_state *state)
{
	return state->phase == PHASE_FEATURE || state->phase == PHASE_FEATURE_STARTTLS;
}

static enum talk take_feature(struct talk_state *state, const struct tag *tag, struct buf *say)
{
	if (preface_is_tag(tag, "starttls") && is_of_tls(tag))
		state->phase = PHASE_FEATURE_STARTTLS;
	if (!preface_is_tag(tag, "/stream:features"))
		return TALK_SAY;
	if (state->phase != PHASE_FEATURE_STARTTLS)
		return preface_refused(state, "the server does not offer STARTTLS");
	state->phase = PHASE_ANSWER;
	preface_say_text(say, "<starttls" TLS_NS "/>");
	return TALK_SAY;
}

static enum talk take_answer(struct talk_state *state, const struct tag *tag)
{
	if (preface_is_tag(tag, "failure"))
		return preface_refused(state, "the server declines STARTTLS");
	if (preface_is_tag(tag, "proceed") && tag->is_empty && is_of_tls(tag))
		return TALK_DONE;
	return preface_refused(state, "the server does not speak XMPP");
}

static enum talk take_stream(struct talk_state *state, const struct tag *tag)
{
	if (state->phase == PHASE_STREAM && preface_is_tag(tag, "?xml"))
		return TALK_SAY;
	const char *wanted = state->phase == PHASE_STREAM ? "stream:stream" : "stream:features";
	if (!preface_is_tag(tag, wanted))
		return preface_refused(state, "the server does not speak XMPP");
	if (tag->is_empty)
		return preface_refused(state, "the server does not offer STARTTLS");
	state->phase++;
	return TALK_SAY;
}

static enum talk take_servers_tag(struct talk_state *state, const struct tag *tag, struct buf *say)
{
	if (preface_is_tag(tag, "stream:error"))
		return preface_refused(state, "the server answers with an error");
	if (state->phase == PHASE_ANSWER)
		return take_answer(state, tag);
	return is_within_features(state) ? take_feature(state, tag, say) : take_stream(state, tag);
}

static enum talk xmpp_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct tag tag;
	if (heard.len == 0) {
		preface_say_text(say, OPEN_STREAM);
		if (state->host)
			preface_say_attribute(say, "to", span_of_string(state->host));
		preface_say_text(say, ">");
		return TALK_SAY;
	}
	enum talk talk = preface_take_tag(state, heard, is_within_features(state), &tag, used);
	if (talk != TALK_DONE)
		return talk;
	talk = take_servers_tag(state, &tag, say);
	if (state->phase == PHASE_ANSWER && talk == TALK_SAY && *used < heard.len) {
		say->end = 0;
		return preface_refused(state, "the server answers before it is asked");
	}
	return talk;
}

/* Within TLS the client has yet to open its stream; before, a stream is open. */
static void xmpp_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	static const char *const conditions[] = {[REFUSAL_PROTOCOL] = "policy-violation",
		[REFUSAL_UNKNOWN_NAME] = "host-unknown",
		[REFUSAL_LIMIT] = "resource-constraint",
		[REFUSAL_DRAINED] = "system-shutdown",
		[REFUSAL_NO_SERVER] = "remote-connection-failed"};
	if (why != REFUSAL_PROTOCOL)
		say_stream(say, span_of(NULL, 0));
	say_error(say, conditions[why], words);
}

extern const struct preface xmpp_preface;
const struct preface xmpp_preface = {
	.name = "xmpp",
	.title = "XMPP",
	.is_starttls = true,
	.offers_starttls = true,
	.alpn = "xmpp-client",
	.front = xmpp_front,
	.back = xmpp_back,
	.refuse = xmpp_refuse,
};
