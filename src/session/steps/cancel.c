#include "route/host_table.h"
#include "session/join.h"
#include "session/steps/steps.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * A client that asks for the end of what another connection does (preface/preface.h, TALK_CANCEL). Its key leads to
 * the server of that connection and to the server's own key (session/cancel_keys). The client is closed when
 * the server has closed: then the request has been carried out.
 */

static const struct step cancel_steps[] = {
	{"connect_upstream", step_connect_upstream, cancel_connect_upstream},
	{"send_cancel", step_send_cancel, NULL},
	{0},
};

static const struct preface *preface_of(const struct session *session)
{
	return session->join->target->preface;
}

static enum step_result end_cancel(
	struct session *session, enum end_reason reason, const char *what)
{
	char words[128];
	snprintf(words, sizeof words, "%s: %s", preface_of(session)->title, what);
	return session_refuse(session, reason, words);
}

/* From here on the session is one of the route that the key leads to. */
static enum step_result follow_target(struct session *session, struct join *join)
{
	struct cancel_target *target = join->target;
	routes_unref(session->routes);
	session->routes = routes_ref(target->routes);
	session->route = target->route;
	join_destroy(session->join);
	session->join = join;
	return session_jump(session, cancel_steps);
}

static struct join *make_target(const struct cancel_target *target)
{
	struct join *join = join_create();
	struct cancel_target *copy = malloc(sizeof *copy);
	if (!join || !copy) {
		join_destroy(join);
		free(copy);
		return NULL;
	}
	*copy = *target;
	join->target = copy;
	return join;
}

/* On a listener with "cancel": "forward": every server of its host may be the one. */
static bool is_forwarded(struct session *session, const struct preface *preface, struct span key,
	struct cancel_target *out)
{
	const struct listener_config *listener = session->listener_config;
	if (session->route || !listener || !listener->forwards_cancel)
		return false;
	const struct server_name *name = listener->host ? listener->host : listener->default_host;
	const struct host *host = routes_host_of(session->routes, name);
	struct route *route = host ? host->own : NULL;
	if (!route || key.len > PREFACE_KEY_MAX)
		return false;
	*out = (struct cancel_target){.routes = routes_ref(session->routes),
		.route = route,
		.is_every = true,
		.preface = preface,
		.len = key.len};
	memcpy(out->key, key.data, key.len);
	return true;
}

enum step_result session_cancel(
	struct session *session, const struct preface *preface, struct span key)
{
	struct cancel_target target;
	char words[128];
	snprintf(
		words, sizeof words, "%s: a request to cancel with an unknown key", preface->title);
	/* Within TLS, or by a forward: of the same route, which has its rules. */
	const struct route *route = session->route;
	if (!cancel_keys_find(session->service->limits->cancel_keys, key, route, &target) &&
		!is_forwarded(session, preface, key, &target))
		return session_refuse(session, END_BAD_PREFACE, words);
	struct join *join = make_target(&target);
	if (join)
		return follow_target(session, join);
	routes_unref(target.routes);
	return session_end(session, END_NO_MEMORY, "out of memory");
}

static bool is_known(struct session *session, struct span key)
{
	struct cancel_target target;
	if (!cancel_keys_find(session->service->limits->cancel_keys, key, NULL, &target))
		return false;
	routes_unref(target.routes);
	return true;
}

/* A second descriptor of the connection: ours is closed with the session. */
static bool return_connection(struct session *session)
{
	const struct limits *limits = session->service->limits;
	int fd = fcntl(stream_raw_in(session->client), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (limits->return_connection(
		    limits->older_process, fd, session->listener->text, &session->source.any))
		return true;
	close(fd);
	return false;
}

bool session_return_cancel(struct session *session, const struct preface *preface, struct span key)
{
	const struct limits *limits = session->service->limits;
	char words[128];
	/* A PROXY header has been taken, and would be missing there. */
	bool is_whole = session->told_destination.any.sa_family == AF_UNSPEC;
	if (!atomic_load_explicit(&limits->has_older_process, memory_order_relaxed) || !is_whole ||
		is_known(session, key) || !return_connection(session))
		return false;
	snprintf(words, sizeof words, "%s: a request to cancel, returned to the process before",
		preface->title);
	session->is_end_due = true;
	session_end(session, END_DONE, words);
	return true;
}

static bool send_request(struct session *session)
{
	const struct cancel_target *target = session->join->target;
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	target->preface->cancel(span_of(target->key, target->len), &say);
	return stream_write(session->upstream, &say) == IO_DONE; /* its queue is empty */
}

static void on_upstream_ready(void *owner, struct stream *stream, int events)
{
	(void)stream, (void)events;
	session_advance(owner);
}

static bool has_next_server(const struct cancel_target *target)
{
	return target->is_every && target->server + 1 < (int)target->route->backend->count;
}

static enum step_result go_to_next_server(struct session *session)
{
	server_left(&session->route->backend->servers[session->server]);
	session->server = -1;
	stream_destroy(session->upstream);
	session->upstream = NULL;
	free(session->forwarding);
	session->forwarding = NULL;
	session->join->target->server++;
	return session_jump(session, cancel_steps);
}

/* The server closes; it has nothing to say. */
enum step_result step_send_cancel(struct session *session)
{
	uint8_t scratch[64];
	struct buf buf = {.data = scratch, .size = sizeof scratch};
	if (session_enters_step(session)) {
		session_set_deadline(session,
			routes_config(session->routes)->proxy.handshake_timeout_ms, END_DIAL,
			"the server does not answer the request to cancel");
		stream_set_driver(session->upstream, on_upstream_ready, session);
		if (!send_request(session))
			return end_cancel(
				session, END_DIAL, "the server does not take the request");
	}
	enum io io = stream_read(session->upstream, &buf);
	if (io == IO_AGAIN || io == IO_DONE) {
		stream_watch(session->upstream, EV_READ);
		return STEP_WAIT;
	}
	if (has_next_server(session->join->target))
		return go_to_next_server(session);
	return end_cancel(session, END_DONE, "the request to cancel was passed on");
}
