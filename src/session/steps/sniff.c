#include "session/steps/peek.h"
#include "session/steps/steps.h"

/* A client that has requested TLS has to begin with it. */
static bool may_be_plaintext(const struct session *session)
{
	const struct listener_config *listener = session->listener_config;
	return listener && listener->plaintext && !session->preface;
}

static enum step_result refuse_hello(struct session *session, enum hello_verdict verdict)
{
	struct route_facts facts = {.verdict = verdict, .hello = &session->service->hello};
	struct decision decision;
	route_decide(session->routes, &facts, &decision);
	return session_refuse_decision(session, &decision);
}

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
	if (verdict == HELLO_NOT_TLS && may_be_plaintext(session))
		return session_jump(session, plaintext_steps);
	return verdict == HELLO_WHOLE ? STEP_NEXT : refuse_hello(session, verdict);
}
