#include "session/steps/peek.h"

/* When poll keeps waking us for bytes that do not come: how soon to look again. */
#define LOOK_AGAIN_SECONDS 0.05

enum step_result peek(struct session *session, size_t size, size_t *len)
{
	struct buf buf = {.data = session->service->ctx.plain, .size = size};
	switch (stream_peek(session->client, &buf)) {
	case IO_AGAIN:
		stream_watch(session->client, EV_READ);
		return STEP_WAIT;
	case IO_EOF:
		session->is_end_due = true;
		return session_end(session, END_NO_HELLO, "client closed before ClientHello");
	case IO_FAIL:
		return session_end(session, END_NO_HELLO, "client reset before ClientHello");
	case IO_DONE:
		break;
	}
	*len = buf.end;
	return STEP_NEXT;
}

/*
 * stream_want keeps the kernel from waking us before the bytes are there. It wakes us all the same for a
 * FIN, or when the receive buffer cannot hold what is wanted (and on a unix socket always): then the timer
 * looks again, and no event does.
 */
enum step_result peek_wait_for(
	struct session *session, struct peeking *peeking, size_t have, size_t want)
{
	if (have > peeking->seen) {
		peeking->seen = have;
		peeking->has_want |= stream_want(session->client, want);
		stream_watch(session->client, EV_READ);
		return STEP_WAIT;
	}
	if (stream_is_ended(session->client))
		return session_end(session, END_NO_HELLO,
			peeking->ended ? peeking->ended : "client closed within ClientHello");
	stream_watch(session->client, 0);
	session_retry_after(session, LOOK_AGAIN_SECONDS);
	return STEP_WAIT;
}

void peek_done(struct session *session, struct peeking *peeking)
{
	if (peeking->has_want)
		stream_want(session->client, 1);
	*peeking = (struct peeking){0};
	stream_watch(session->client, 0);
}
