#include "session/steps/steps.h"

#include "session/revalidate.h"
#include "session/steps/preface.h"

#include <stdio.h>
#include <stdlib.h>

static void on_relay_ended(void *owner, struct stream *broken)
{
	struct session *session = owner;
	char why[256];
	if (!broken) {
		session_end(session, "done");
		return;
	}
	snprintf(why, sizeof why, "%s: %s", broken == session->client ? "client" : "upstream",
		broken->error ? broken->error : "failed");
	session_end(session, why);
}

static enum step_result step_relay(struct session *session)
{
	struct relaying *relaying = calloc(1, sizeof *relaying);
	if (!relaying)
		return session_end(session, "out of memory");
	session->relaying = relaying;
	session_set_deadline(
		session, routes_config(session->routes)->proxy.idle_timeout_ms, "idle timeout");
	revalidate_watch(session);
	relay_start(&relaying->relay, &session->service->ctx, session->client, session->upstream,
		on_relay_ended, session);
	return STEP_WAIT;
}

/* Bytes read and thrown away at a farewell, and how long that may take. */
#define LINGER_MS 2000

static enum step_result step_send_close(struct session *session)
{
	socket_wait(&session->upstream_socket, 0);
	session_set_deadline(session, LINGER_MS, session->why);
	switch (stream_end(session->client, HALF_CLOSE)) {
	case IO_AGAIN:
		socket_wait(session->client->socket, EV_WRITE);
		return STEP_WAIT;
	case IO_FAIL: /* a failed handshake: what it had to say is said */
		shutdown(socket_fd(&session->client_socket), SHUT_WR);
		return STEP_NEXT;
	case IO_DONE:
	case IO_EOF:
		break;
	}
	return STEP_NEXT;
}

/* Closing with unread bytes makes the kernel send a reset, which may overtake our last words. */
static enum step_result step_drain_input(struct session *session)
{
	int fd = socket_fd(&session->client_socket);
	for (int round = 0; round < 4; round++) {
		ssize_t n = recv(fd, session->service->ctx.plain, LOOP_PLAIN_SIZE, MSG_DONTWAIT);
		if (n == 0)
			return session_end(session, session->why);
		if (n < 0) {
			socket_wait(&session->client_socket, EV_READ);
			return socket_error(&session->client_socket)
				? session_end(session, session->why)
				: STEP_WAIT;
		}
	}
	return session_end(session, session->why);
}

const struct step router_steps[] = {
	{"admit_source", step_admit_source},
	{"sniff", step_sniff},
	{"choose_route", step_choose_route},
	{"handshake_client", step_handshake_client},
	{"open_upstream", step_open_upstream},
	{"send_proxy_header", step_send_proxy_header},
	{"handshake_upstream", step_handshake_upstream},
	{"relay", step_relay},
	{0},
};

static enum step_result step_proxy_header(struct session *session)
{
	return preface_step(session, &proxy_preface);
}

static enum step_result step_onward(struct session *session)
{
	return session_jump(session, session->route ? forward_steps : router_steps);
}

const struct step proxied_steps[] = {
	{"proxy_header", step_proxy_header},
	{"onward", step_onward},
	{0},
};

static enum step_result step_acquire_slot(struct session *session)
{
	if (is_drained(session))
		return session_end(session, "drained");
	return acquire_slot(session)
		? STEP_NEXT
		: session_end(session, "max_connections of the forward reached");
}

const struct step forward_steps[] = {
	{"admit_source", step_admit_source},
	{"acquire_slot", step_acquire_slot},
	{"open_upstream", step_open_upstream},
	{"send_proxy_header", step_send_proxy_header},
	{"handshake_upstream", step_handshake_upstream},
	{"relay", step_relay},
	{0},
};

const struct step misdirected_steps[] = {
	{"handshake_client", step_handshake_client},
	{"answer_421", step_answer_421},
	{0},
};

const struct step linger_steps[] = {
	{"send_close", step_send_close},
	{"drain_input", step_drain_input},
	{0},
};

enum step_result refuse_with_alert(struct session *session, enum alert alert, const char *why)
{
	uint8_t record[ALERT_SIZE];
	alert_encode(alert, record);
	struct buf buf = {.data = record, .end = sizeof record, .size = sizeof record};
	session_note_why(session, why);
	/* An empty send queue has room for seven bytes; a peer already gone has no use for them. */
	stream_write(session->client, &buf);
	return session_jump(session, linger_steps);
}

enum step_result refuse_politely(struct session *session, const char *why)
{
	session_note_why(session, why);
	return session_jump(session, linger_steps);
}
