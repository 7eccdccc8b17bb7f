#include "session/steps/peek.h"
#include "session/steps/steps.h"

/*
 * Looks at the ClientHello and takes none of it: the kernel's queue is what passthrough will splice
 * and OpenSSL will read.
 */
enum step_result step_sniff(struct session *session)
{
	struct loop_ctx *ctx = &session->service->ctx;
	struct client_hello *hello = &session->service->hello;
	struct peeking *peeking = &session->at.sniff;
	size_t len;
	if (session_enters_step(session))
		*peeking = (struct peeking){0};
	enum step_result seen = peek(session, CLIENT_HELLO_MAX, &len);
	if (seen != STEP_NEXT)
		return seen;
	enum hello_verdict verdict =
		client_hello_parse(span_of(ctx->plain, len), ctx->records_in, hello);
	if (verdict == HELLO_MORE)
		return peek_wait_for(session, peeking, len, hello->want);
	peek_done(session, peeking);
	switch (verdict) {
	case HELLO_NOT_TLS:
		return session_end(session, END_NOT_TLS, "not TLS");
	case HELLO_BROKEN:
	case HELLO_TOO_LARGE:
		return session_refuse_alert(
			session, ALERT_DECODE_ERROR, END_BAD_HELLO, hello->error);
	case HELLO_MORE:
	case HELLO_WHOLE:
		break;
	}
	return STEP_NEXT;
}
