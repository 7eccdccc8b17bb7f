#include "session/keep_route.h"
#include "session/least_rate.h"
#include "session/revalidate.h"
#include "session/steps/steps.h"

#include <stdio.h>

/* Many may end at once: this one can wait for another turn. */
static void end_later(struct session *session, enum end_reason reason, const char *words)
{
	stream_watch(session->client, 0);
	stream_watch(session->upstream, 0);
	session_decide_end(session, reason, words);
	session_retry_after(session, 0);
}

static void end_relay(struct session *session, enum end_reason reason, const char *words)
{
	if (loop_ctx_is_exhausted(&session->service->ctx))
		end_later(session, reason, words);
	else
		session_end(session, reason, words);
}

/*
 * The protocol ends like that: or the client has ended, its server has all of that, and closes without reading
 * the end of TLS.
 */
static bool is_end_of_protocol(const struct session *session, bool is_client)
{
	const struct preface *preface = session->preface;
	if (!preface && session->route)
		preface = session->route->backend->starttls;
	if (!preface || session->relay->is_unwatched)
		return false;
	if (preface->ends_itself)
		return true;
	return preface->ends_by_reset && !is_client && session->relay->up.state == PUMP_ENDED;
}

static enum end_reason broke_reason(const struct session *session, bool is_client)
{
	if (session->relay->is_unwatched)
		return END_NO_MEMORY;
	return is_client ? END_CLIENT_BROKE : END_UPSTREAM_BROKE;
}

static void on_relay_ended(void *owner, struct stream *broken)
{
	struct session *session = owner;
	bool is_client = broken == session->client;
	char words[256];
	if (!broken) {
		end_relay(session, END_DONE, "done");
		return;
	}
	snprintf(words, sizeof words, "%s: %s", is_client ? "client" : "upstream",
		broken->error ? broken->error : "failed");
	if (is_end_of_protocol(session, is_client))
		end_relay(session, END_DONE, "done");
	else
		end_relay(session, broke_reason(session, is_client), words);
}

/* Bytes to and fro, until both directions have ended. */
enum step_result step_relay(struct session *session)
{
	struct relay *relay = &session->forwarding->relay;
	if (session->is_step_new && loop_ctx_is_exhausted(&session->service->ctx)) {
		session_retry_after(session, 0); /* many may be connected at once */
		return STEP_WAIT;
	}
	if (!session_enters_step(session)) {
		end_relay(session, session->end_reason, session->end_words);
		return STEP_END;
	}
	session->relay = relay;
	if (session->routes != session->service->routes)
		session_keep_route(session);
	const struct config *config = routes_config(session->routes);
	session_set_deadline(session, config->proxy.idle_timeout_ms, END_IDLE, "idle timeout");
	revalidate_watch(session);
	if (config->proxy.min_rate > 0) {
		least_rate_begin(session);
		session_watch_rate(session);
	}
	relay_start(relay, &session->service->ctx, session->client, session->upstream,
		on_relay_ended, session);
	return STEP_WAIT;
}
