#include "session/session_stats.h"
#include "session/steps/peek.h"
#include "session/steps/steps.h"

#include <stdio.h>

/*
 * Drives one conversation of a listener's prefaces after the other (preface/preface.h). Bytes are looked at
 * first, and taken only when a conversation has used them: what is behind is for what comes next.
 */

static const struct preface *current_preface(const struct session *session)
{
	return *session->at.preface.next;
}

/* A send queue that holds nothing has room for an answer. */
static bool send_words(struct session *session, struct buf *words)
{
	return buf_used(words) == 0 || stream_write(session->client, words) == IO_DONE;
}

/* Into scratch: these bytes were looked at already. */
static bool take_bytes(struct session *session, size_t len)
{
	struct buf buf = {.data = session->service->ctx.plain, .size = len};
	return len == 0 || (stream_read(session->client, &buf) == IO_DONE && buf.end == len);
}

/* In the words of the protocol where it has any, unless the conversation has said them itself. */
static enum step_result refuse_client(struct session *session, const char *why, struct buf *words)
{
	const struct preface *preface = current_preface(session);
	bool is_said = buf_used(words) > 0;
	char text[128];
	snprintf(text, sizeof text, "%s: %s", preface->title, why);
	if (!is_said && !preface->refuse)
		return session_end(session, END_BAD_PREFACE, text);
	if (!is_said)
		preface->refuse(REFUSAL_PROTOCOL, why, words);
	send_words(session, words);
	return session_refuse(session, END_BAD_PREFACE, text);
}

static enum step_result let_client_leave(struct session *session, struct buf *words)
{
	char text[128];
	snprintf(text, sizeof text, "%s: the client left without TLS",
		current_preface(session)->title);
	send_words(session, words);
	return session_refuse(session, END_DONE, text);
}

static enum step_result let_client_cancel(struct session *session, size_t used, struct buf *key)
{
	const struct preface *preface = current_preface(session);
	struct span given = span_of(key->data, buf_used(key));
	if (session_return_cancel(session, preface, given))
		return STEP_END;
	if (!take_bytes(session, used))
		return session_end(session, END_BAD_PREFACE, "client reset before ClientHello");
	count_preface(session, preface);
	session->preface = preface;
	peek_done(session, &session->at.preface.peek);
	return session_cancel(session, preface, given);
}

/* What is there already wakes the loop again: one turn of the conversation for each turn of the loop. */
static enum step_result await_answer(struct session *session)
{
	struct preface_state *state = &session->at.preface;
	state->is_chosen = true;
	peek_done(session, &state->peek);
	stream_watch(session->client, EV_READ);
	return STEP_WAIT;
}

static void adopt_addresses(struct session *session, const struct talk_state *talk)
{
	if (talk->source.any.sa_family == AF_UNSPEC)
		return;
	session->source = talk->source;
	session->told_destination = talk->destination;
}

static enum step_result conclude_preface(struct session *session)
{
	const struct preface *preface = current_preface(session);
	adopt_addresses(session, &session->at.preface.talk);
	count_preface(session, preface);
	if (preface->is_starttls)
		session->preface = preface;
	peek_done(session, &session->at.preface.peek);
	return STEP_NEXT;
}

static enum step_result take_turn(struct session *session, struct span heard);

/* What none of them knows is taken for TLS. */
static enum step_result try_next(struct session *session, struct span heard)
{
	struct preface_state *state = &session->at.preface;
	state->talk = (struct talk_state){.host = state->talk.host};
	if (*++state->next)
		return take_turn(session, heard);
	peek_done(session, &state->peek);
	return STEP_NEXT;
}

/*
 * One turn of the conversation with what is there. Bytes that came behind a request for TLS, before there is
 * TLS, could be anybody's (CVE-2021-23222, and the command injections of STARTTLS).
 */
static enum step_result take_turn(struct session *session, struct span heard)
{
	const struct preface *preface = current_preface(session);
	struct preface_state *state = &session->at.preface;
	uint8_t room[PREFACE_SAY_MAX];
	struct buf words = {.data = room, .size = sizeof room};
	size_t used = 0;
	enum talk verdict = preface->front(&state->talk, heard, &used, &words);
	switch (verdict) {
	case TALK_MORE:
		if (heard.len >= preface_heard_max(preface))
			return refuse_client(session, "too long", &words);
		return peek_wait_for(session, &state->peek, heard.len, state->talk.want);
	case TALK_NOT_MINE:
		if (!state->is_chosen)
			return try_next(session, heard);
		return refuse_client(session, "another protocol", &words);
	case TALK_REFUSE:
		return refuse_client(session, state->talk.error, &words);
	case TALK_LEAVE:
		return let_client_leave(session, &words);
	case TALK_CANCEL:
		return let_client_cancel(session, used, &words);
	case TALK_CONNECT:
	case TALK_SAY:
	case TALK_DONE:
		break;
	}
	bool is_answered = verdict == TALK_DONE && preface->is_starttls && buf_used(&words) > 0;
	if (is_answered && used < heard.len) {
		words.end = 0;
		return refuse_client(session, "bytes behind the request for TLS", &words);
	}
	if (!take_bytes(session, used) || !send_words(session, &words))
		return session_end(session, END_BAD_PREFACE, "client reset before ClientHello");
	return verdict == TALK_SAY ? await_answer(session) : conclude_preface(session);
}

/* The name that a greeting has. */
static const char *host_of(const struct listener_config *listener)
{
	const struct server_name *name = listener ? listener->host : NULL;
	if (listener && !name)
		name = listener->default_host;
	return name ? name->text : NULL;
}

static enum step_result run_prefaces(struct session *session, const struct preface *const *prefaces)
{
	struct preface_state *state = &session->at.preface;
	size_t len;
	if (session_enters_step(session)) {
		*state = (struct preface_state){.next = prefaces};
		state->talk.host = host_of(session->listener_config);
		if (current_preface(session)->speaks_first)
			return take_turn(session, span_of(NULL, 0));
	}
	enum step_result seen = peek(session, preface_heard_max(current_preface(session)), &len);
	if (seen != STEP_NEXT)
		return seen;
	return take_turn(session, span_of(session->service->ctx.plain, len));
}

/* The PROXY header comes first, since it says who the client is. */
enum step_result step_proxy_header(struct session *session)
{
	return run_prefaces(session, preface_proxy_list());
}

enum step_result step_preface(struct session *session)
{
	return run_prefaces(session, session->listener_config->prefaces);
}
