#include "session/steps/steps.h"

/* How long a client that was refused may take to read why. */
#define LINGER_MS 2000

/* What is read in one turn of what it still sends. */
#define DRAINED_MAX (64 * 1024)

enum step_result session_refuse(struct session *session, enum end_reason reason, const char *words)
{
	session->is_end_due = true;
	session_decide_end(session, reason, words);
	return session_jump(session, linger_steps);
}

enum step_result session_refuse_alert(
	struct session *session, enum alert alert, enum end_reason reason, const char *words)
{
	uint8_t record[ALERT_SIZE];
	struct buf buf = {.data = record, .end = sizeof record, .size = sizeof record};
	alert_encode(alert, record);
	/* An empty send queue has room for seven bytes; a peer that has gone has no use for them. */
	stream_write(session->client, &buf);
	return session_refuse(session, reason, words);
}

/* A failed handshake has sent its alert; then the transport alone is ended. */
enum step_result step_send_close(struct session *session)
{
	if (session_enters_step(session))
		session_set_deadline(session, LINGER_MS, session->end_reason, session->end_words);
	if (stream_end(session->client, HALF_CLOSE) != IO_AGAIN)
		return STEP_NEXT;
	stream_watch(session->client, EV_WRITE);
	return STEP_WAIT;
}

/* Closing with unread bytes makes the kernel send a reset, which may overtake what we sent. */
enum step_result step_drain_input(struct session *session)
{
	struct buf scratch = {.data = session->service->ctx.plain, .size = DRAINED_MAX};
	session_enters_step(session);
	enum io io = stream_drain(session->client, scratch);
	if (io != IO_AGAIN && io != IO_DONE)
		return session_end(session, session->end_reason, session->end_words);
	stream_watch(session->client, EV_READ);
	return STEP_WAIT;
}
