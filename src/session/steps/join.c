#include "session/join.h"
#include "session/steps/steps.h"

#include <stdio.h>

/*
 * Drives the part of a preface's conversation that comes behind the client's TLS (preface/preface.h, `joined`):
 * the client's first message before a server is chosen, then both sides until the rest can be relayed as it is.
 * Little is read at a time, and nothing while something cannot be sent.
 */

#define READ_SIZE 4096

static bool has_conversation(const struct session *session)
{
	bool is_ours = session->context || (session->route && session->route->is_forward);
	return is_ours && session->preface && session->preface->joined;
}

/* Greetings, where TLS with the client is ours (preface/preface.h). */
bool session_needs_greeting(const struct session *session)
{
	const struct preface *front = session->preface, *back = session->route->backend->starttls;
	bool is_greeted = front && front->speaks_first && !session->is_direct_tls;
	return back && back->speaks_first && !is_greeted;
}

enum step_result session_secured(struct session *session)
{
	const struct route *route = session->route;
	if (!route || session->end_words) /* its handshake is for a refusal */
		return STEP_NEXT;
	bool has_more = session->preface || route->backend->starttls;
	if (has_more && (has_conversation(session) || session_needs_greeting(session)))
		return session_jump(session, joined_steps);
	return STEP_NEXT;
}

static enum step_result out_of_memory(struct session *session)
{
	return session_end(session, END_NO_MEMORY, "out of memory");
}

static enum step_result refuse_join(struct session *session, const char *why)
{
	struct join *join = session->join;
	char text[128];
	snprintf(text, sizeof text, "%s: %s", session->preface->title, why);
	if (buf_used(&join->client.said) > 0)
		stream_write(session->client, &join->client.said);
	if (!join->is_answered)
		session_say_refusal(session, REFUSAL_PROTOCOL, why);
	return session_refuse(session, END_BAD_PREFACE, text);
}

/* One read. What a conversation has not used so far stays in front. */
static enum io side_read(struct join_side *side, struct stream *stream)
{
	struct buf *heard = &side->heard;
	if (!join_reserve(heard, READ_SIZE)) {
		stream->error = "out of memory";
		return IO_FAIL;
	}
	struct buf window = {
		.data = heard->data, .end = heard->end, .size = heard->end + READ_SIZE};
	enum io io = stream_read(stream, &window);
	side->is_short &= window.end == heard->end;
	heard->end = window.end;
	return io;
}

/* The server's key is kept, and the client gets one that leads to it. */
static bool replace_key(struct session *session, const struct joined_turn *turn)
{
	struct cancel_target target = {.routes = routes_ref(session->routes),
		.route = session->route,
		.server = session->server,
		.preface = session->preface,
		.len = turn->key_len};
	struct service *service = session->service;
	memcpy(target.key, turn->key, turn->key_len);
	if (session->upstream_text)
		stream_peer(session->upstream, &target.address);
	session->cancel_key =
		cancel_keys_issue(service->limits->cancel_keys, service->index, &target, turn->key);
	if (!session->cancel_key)
		routes_unref(target.routes);
	return session->cancel_key != NULL;
}

static bool reserve_turn(struct join *join, size_t heard)
{
	size_t room = heard + PREFACE_SAY_MAX;
	return join_reserve(&join->client.said, room) && join_reserve(&join->server.said, room);
}

/* One turn with what one side has said; no memory is a refusal like others. */
static enum talk take_turn(struct session *session, struct join_side *side)
{
	struct join *join = session->join;
	size_t len = buf_used(&side->heard);
	if (!reserve_turn(join, len)) {
		join->state.error = "out of memory";
		return TALK_REFUSE;
	}
	struct joined_turn turn = {.is_server = side == &join->server,
		.heard = span_of(side->heard.data + side->heard.start, len),
		.to_client = join->client.said,
		.to_server = join->server.said};
	size_t said = buf_used(&turn.to_client);
	enum talk verdict = session->preface->joined(&join->state, &turn);
	join->is_answered = verdict == TALK_REFUSE && buf_used(&turn.to_client) > said;
	if (turn.key)
		replace_key(session, &turn);
	side->heard.start += turn.used;
	side->is_short = verdict == TALK_MORE;
	join->client.said = turn.to_client;
	join->server.said = turn.to_server;
	join->is_done = verdict == TALK_DONE;
	return verdict;
}

/* The client's first message. */

static enum step_result client_cancels(struct session *session)
{
	const struct buf *said = &session->join->server.said;
	return session_cancel(
		session, session->preface, span_of(said->data + said->start, buf_used(said)));
}

/* A few bytes; the client's queue is empty. */
static bool send_first(struct session *session)
{
	struct buf *said = &session->join->client.said;
	return buf_used(said) == 0 || stream_write(session->client, said) == IO_DONE;
}

static enum step_result judge_first(struct session *session)
{
	struct join *join = session->join;
	enum talk verdict;
	do
		verdict = take_turn(session, &join->client);
	while (verdict == TALK_SAY && send_first(session) && buf_used(&join->client.heard) > 0);
	switch (verdict) {
	case TALK_CONNECT:
		stream_watch(session->client, 0);
		return STEP_NEXT;
	case TALK_CANCEL:
		return client_cancels(session);
	case TALK_MORE:
		if (buf_used(&join->client.heard) >= PREFACE_JOIN_MAX)
			return refuse_join(session, "too long");
		/* fall through */
	case TALK_SAY:
		stream_watch(session->client, EV_READ);
		return STEP_WAIT;
	case TALK_DONE:
	case TALK_NOT_MINE:
	case TALK_LEAVE:
	case TALK_REFUSE:
		break;
	}
	return refuse_join(session, join->state.error ? join->state.error : "another protocol");
}

/* No server hears of a client that says nothing, and who cancels needs a certain one. */
enum step_result step_first_message(struct session *session)
{
	if (session_enters_step(session)) {
		session->join = join_create();
		if (!session->join)
			return out_of_memory(session);
		if (!has_conversation(session))
			return STEP_NEXT;
		session_set_deadline(session,
			routes_config(session->routes)->proxy.handshake_timeout_ms, END_HANDSHAKE,
			"the client sends no first message");
	}
	switch (side_read(&session->join->client, session->client)) {
	case IO_AGAIN:
		stream_watch(session->client, EV_READ);
		return STEP_WAIT;
	case IO_EOF:
		return session_refuse(
			session, END_CLIENT_GONE, "client closed before its first message");
	case IO_FAIL:
		return session_end(session, END_CLIENT_BROKE, session->client->error);
	case IO_DONE:
		break;
	}
	return judge_first(session);
}

/* Both sides. */

static enum step_result side_broke(struct session *session, const struct stream *stream)
{
	bool is_client = stream == session->client;
	char words[256];
	snprintf(words, sizeof words, "%s: %s", is_client ? "client" : "upstream",
		stream->error ? stream->error : "failed");
	return session_end(session, is_client ? END_CLIENT_BROKE : END_UPSTREAM_BROKE, words);
}

/* What was said for one side; `*count` is what of it has gone. */
static enum io side_send(struct join_side *side, struct stream *stream, uint64_t *count)
{
	size_t before = buf_used(&side->said);
	if (before == 0)
		return IO_DONE;
	enum io io = stream_write(stream, &side->said);
	*count += before - buf_used(&side->said);
	return io;
}

/* What is left goes as it is. */
static bool pass_rest(struct join_side *from, struct join_side *to)
{
	size_t len = buf_used(&from->heard);
	if (!join_reserve(&to->said, len))
		return false;
	preface_say(&to->said, from->heard.data + from->heard.start, len);
	from->heard.start = from->heard.end;
	return true;
}

static bool pass_all(struct join *join)
{
	return pass_rest(&join->client, &join->server) && pass_rest(&join->server, &join->client);
}

/* NEXT: both are sent; WAIT: one is not. */
static enum step_result send_all(struct session *session)
{
	struct join *join = session->join;
	struct forwarding *forwarding = session->forwarding;
	enum io down = side_send(&join->client, session->client, &forwarding->joined_down);
	enum io up = side_send(&join->server, session->upstream, &forwarding->joined_up);
	if (down == IO_FAIL)
		return side_broke(session, session->client);
	if (up == IO_FAIL)
		return side_broke(session, session->upstream);
	if (down == IO_DONE && up == IO_DONE)
		return STEP_NEXT;
	stream_watch(session->client, down == IO_AGAIN ? EV_WRITE : 0);
	stream_watch(session->upstream, up == IO_AGAIN ? EV_WRITE : 0);
	return STEP_WAIT;
}

/* Turns, as long as there is something to use; false: refused. */
static bool use_heard(struct session *session, struct join_side *side)
{
	struct join *join = session->join;
	while (!join->is_done && !side->is_short && buf_used(&side->heard) > 0) {
		enum talk verdict = take_turn(session, side);
		if (verdict == TALK_MORE && buf_used(&side->heard) >= PREFACE_JOIN_MAX)
			join->state.error = "too long";
		else if (verdict == TALK_MORE || verdict == TALK_SAY || verdict == TALK_DONE)
			continue;
		return false;
	}
	return true;
}

/* An end, or a failure, of one side is the relay's to pass on. */
static bool read_side(struct session *session, struct join_side *side, struct stream *stream)
{
	if (buf_used(&side->heard) > 0 && !side->is_short)
		return true;
	enum io io = side_read(side, stream);
	session->join->is_done |= io == IO_EOF || io == IO_FAIL;
	return io != IO_AGAIN;
}

static enum step_result end_join(struct session *session)
{
	stream_watch(session->client, 0);
	stream_watch(session->upstream, 0);
	join_destroy(session->join);
	session->join = NULL;
	return STEP_NEXT;
}

static void on_upstream_ready(void *owner, struct stream *stream, int events)
{
	struct session *session = owner;
	(void)stream, (void)events;
	if (!loop_ctx_has_to_wait(&session->service->ctx, &session->round))
		session_advance(session);
}

/* What the client has been waiting for since its TLS, and has not heard before. */
static bool greet_client(struct join *join)
{
	size_t len = buf_used(&join->greeting);
	if (!join_reserve(&join->client.said, len))
		return false;
	preface_say(&join->client.said, join->greeting.data, len);
	return true;
}

/* A unix socket counts: MySQL takes it for secure, too. */
static bool is_upstream_private(const struct session *session)
{
	const struct address *address = &session->forwarding->connector.address;
	return session->route->backend->servers[session->server].tls ||
		(address->len > 0 && address->any.sa_family == AF_UNIX);
}

static bool begin_join(struct session *session)
{
	stream_set_driver(session->upstream, on_upstream_ready, session);
	session_set_deadline(session, routes_config(session->routes)->proxy.idle_timeout_ms,
		END_IDLE, "idle timeout");
	session->join->is_done = !has_conversation(session);
	session->join->state.is_private = is_upstream_private(session);
	return greet_client(session->join);
}

static enum step_result await_both(struct session *session)
{
	stream_watch(session->client, EV_READ);
	stream_watch(session->upstream, EV_READ);
	return STEP_WAIT;
}

/* One read of each side in a callback. */
enum step_result step_join(struct session *session)
{
	struct join *join = session->join;
	bool is_new = session_enters_step(session);
	if (is_new && !begin_join(session))
		return out_of_memory(session);
	enum step_result sent = send_all(session);
	if (sent != STEP_NEXT)
		return sent;
	if (!is_new && !join->is_done) {
		read_side(session, &join->client, session->client);
		read_side(session, &join->server, session->upstream);
	}
	if (!use_heard(session, &join->client) || !use_heard(session, &join->server))
		return refuse_join(
			session, join->state.error ? join->state.error : "another protocol");
	if (join->is_done && !pass_all(join))
		return out_of_memory(session);
	sent = send_all(session);
	if (sent != STEP_NEXT)
		return sent;
	return join->is_done ? end_join(session) : await_both(session);
}
