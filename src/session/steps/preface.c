#include "session/steps/preface.h"

#include "session/steps/peek.h"

#include <stdio.h>

static enum step_result refuse(
	struct session *session, const struct preface *preface, const char *why)
{
	char text[128];
	snprintf(text, sizeof text, "%s: %s", preface->name, why);
	return session_end(session, text);
}

enum step_result preface_step(struct session *session, const struct preface *preface)
{
	size_t len, want = 0;
	const char *why = NULL;
	enum step_result seen = peek(session, preface->most, &len);
	if (seen != STEP_NEXT)
		return seen;
	struct span peeked = span_of(session->service->ctx.plain, len);
	switch (preface->probe(peeked, &want, &why)) {
	case PROBE_MORE:
		return peek_wait_for(session, len, want);
	case PROBE_NO:
		return why ? refuse(session, preface, why) : STEP_NEXT;
	case PROBE_YES:
		break;
	}
	peek_done(session);
	return preface->run(session, peeked);
}
