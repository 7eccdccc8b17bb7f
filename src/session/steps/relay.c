#include "session/revalidate.h"
#include "session/steps/steps.h"

#include <stdio.h>

static void on_relay_ended(void *owner, struct stream *broken)
{
	struct session *session = owner;
	bool is_client = broken == session->client;
	char words[256];
	if (!broken) {
		session_end(session, END_DONE, "done");
		return;
	}
	snprintf(words, sizeof words, "%s: %s", is_client ? "client" : "upstream",
		broken->error ? broken->error : "failed");
	session_end(session, is_client ? END_CLIENT_BROKE : END_UPSTREAM_BROKE, words);
}

/* Bytes to and fro, until both directions have ended. */
enum step_result step_relay(struct session *session)
{
	struct relay *relay = &session->forwarding->relay;
	session_enters_step(session);
	session->relay = relay;
	session_set_deadline(session, routes_config(session->routes)->proxy.idle_timeout_ms,
		END_IDLE, "idle timeout");
	revalidate_watch(session);
	relay_start(relay, &session->service->ctx, session->client, session->upstream,
		on_relay_ended, session);
	return STEP_WAIT;
}
