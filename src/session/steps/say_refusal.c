#include "session/steps/steps.h"

static const struct preface *preface_of(const struct session *session)
{
	return session->preface && session->preface->refuse ? session->preface : NULL;
}

bool session_say_refusal(struct session *session, enum preface_refusal why, const char *words)
{
	const struct preface *preface = preface_of(session);
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	if (!preface)
		return false;
	preface->refuse(why, words, &say);
	stream_write(session->client, &say); /* a client that does not read it loses it */
	return true;
}

static enum preface_refusal refusal_of(enum end_reason reason)
{
	if (reason == END_LIMIT)
		return REFUSAL_LIMIT;
	return reason == END_DRAINED ? REFUSAL_DRAINED : REFUSAL_UNKNOWN_NAME;
}

/* Why was decided before the handshake. */
enum step_result step_say_refusal(struct session *session)
{
	session_enters_step(session);
	session_say_refusal(session, refusal_of(session->end_reason), session->end_words);
	return session_refuse(session, session->end_reason, session->end_words);
}
