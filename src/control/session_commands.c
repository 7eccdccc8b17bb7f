#include "control/admin_inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "session/engine.h"
#include "session/session_iter.h"
#include "tls/cert/identity.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sessions looked at in one turn of a worker's loop. */
#define LOOKED_AT_ONCE 512

#define ROWS_DEFAULT 1000

struct filter {
	char *route, *cn; /* NULL: any */
	bool has_from;
	struct in6_addr from;
	unsigned bits;
	long long id; /* -1: any */
};

/* One worker's part of a question. */
struct part {
	struct task task; /* first */
	struct session_query *query;
	struct session_iter iter;
	bool is_begun;
	unsigned long long matched;
	struct strbuf rows; /* items of a list, written by row_out */
	struct json_out row_out;
};

struct session_query {
	struct admin *admin;
	struct control_call *call;
	struct filter filter;
	bool kills;
	atomic_llong room; /* rows that may still be told */
	atomic_uint left;  /* parts under way */
	struct session_query *next;
	unsigned count;
	struct part parts[];
};

/* Filters. */

static void source_address(const struct session *session, struct in6_addr *out)
{
	*out = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (session->source.any.sa_family == AF_INET)
		memcpy(out->s6_addr + 12, &session->source.v4.sin_addr, 4);
	else if (session->source.any.sa_family == AF_INET6)
		*out = session->source.v6.sin6_addr;
	else
		*out = (struct in6_addr){0};
}

static bool comes_from(const struct session *session, const struct filter *filter)
{
	struct in6_addr address;
	source_address(session, &address);
	for (unsigned bit = 0; bit < filter->bits; bit++) {
		unsigned differs = address.s6_addr[bit / 8] ^ filter->from.s6_addr[bit / 8];
		if (differs >> (7 - bit % 8) & 1)
			return false;
	}
	return true;
}

static bool is_named(const struct session *session, const char *cn)
{
	const struct identity *identity = session_client_identity(session);
	for (size_t i = 0; identity && i < identity->count; i++) {
		const struct identity_value *value = &identity->values[i];
		if (value->kind == IDENTITY_CN && value->is_valid &&
			span_equal(value->text, span_of_string(cn)))
			return true;
	}
	return false;
}

static bool matches(const struct session *session, const struct filter *filter)
{
	if (filter->id >= 0 && session->id != (unsigned long long)filter->id)
		return false;
	if (filter->route && (!session->route || strcmp(session->route->host, filter->route) != 0))
		return false;
	if (filter->has_from && !comes_from(session, filter))
		return false;
	return !filter->cn || is_named(session, filter->cn);
}

static bool parse_from(struct filter *filter, const char *text, struct err *err)
{
	char address[64];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned most = 128;
	snprintf(address, sizeof address, "%.*s", (int)len, text);
	filter->from = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (inet_pton(AF_INET, address, filter->from.s6_addr + 12) == 1)
		most = 32;
	else if (inet_pton(AF_INET6, address, &filter->from) != 1)
		goto wrong;
	char *end = NULL;
	unsigned long bits = slash ? strtoul(slash + 1, &end, 10) : most;
	if (slash && (end == slash + 1 || *end || bits > most))
		goto wrong;
	filter->bits = 128 - most + (unsigned)bits;
	return filter->has_from = true;
wrong:
	err_set(err, "from: expected an address or a network such as \"10.0.0.0/8\", got \"%s\"",
		text);
	return false;
}

static bool parse_filter(struct filter *filter, const struct request *request, struct err *err)
{
	const char *route = request_text(request, "route"), *cn = request_text(request, "cn");
	const char *from = request_text(request, "from"), *id = request_text(request, "id");
	char *end = NULL;
	*filter = (struct filter){.id = id ? strtoll(id, &end, 10) : -1};
	if (id && (*end || filter->id < 0)) {
		err_set(err, "id: expected a number, got \"%s\"", id);
		return false;
	}
	if (from && !parse_from(filter, from, err))
		return false;
	filter->route = route ? strdup(route) : NULL;
	filter->cn = cn ? strdup(cn) : NULL;
	return true;
}

/* On the worker's thread. */

static void tell_who(const struct session *session, struct json_out *out)
{
	char source[ADDRESS_TEXT_MAX], identity[IDENTITY_TEXT_MAX];
	const struct identity *shown = session_client_identity(session);
	session_source_text(session, source);
	json_out_text(out, "source", source);
	json_out_text(out, "listener", session->listener->text);
	json_out_text(
		out, "sni", session->hello && session->hello->sni[0] ? session->hello->sni : NULL);
	if (shown)
		identity_text(shown, identity);
	json_out_text(out, "identity", shown ? identity : NULL);
}

static void tell_where(const struct session *session, struct json_out *out)
{
	const struct route *route = session->route;
	char alpn[ALPN_TEXT_MAX] = "";
	if (session->hello)
		alpn_text(session->hello->alpn, alpn, sizeof alpn);
	json_out_text(out, "route", route ? route->host : NULL);
	json_out_text(out, "alpn", alpn[0] ? alpn : NULL);
	json_out_text(out, "mode",
		!route                      ? NULL
			: route->is_forward ? "forward"
			: route->tls        ? "terminate"
					    : "passthrough");
	json_out_text(out, "upstream", session_upstream_text(session));
}

static void tell_session(const struct session *session, struct json_out *out)
{
	uint64_t age_us = clock_now_us() - session->began_us;
	json_out_object(out, NULL);
	json_out_number(out, "id", (long long)session->id);
	tell_who(session, out);
	tell_where(session, out);
	json_out_date(out, "since", time(NULL) - (time_t)(age_us / 1000000));
	json_out_number(out, "seconds", (long long)(age_us / 1000000));
	json_out_number(out, "up", (long long)session_up(session));
	json_out_number(out, "down", (long long)session_down(session));
	json_out_text(out, "step", session->step->name);
	json_out_close(out);
}

static void end_session(struct session *session)
{
	session_end(session, END_KILLED, "killed by the administrator");
}

static bool look_at_some(struct task *task, struct service *service)
{
	struct part *part = (struct part *)task;
	struct session_query *query = part->query;
	struct session *session;
	if (!part->is_begun)
		session_iter_begin(&part->iter, service);
	part->is_begun = true;
	for (unsigned i = 0; i < LOOKED_AT_ONCE; i++) {
		session = session_iter_next(&part->iter);
		if (!session) {
			session_iter_end(&part->iter);
			return true;
		}
		if (!matches(session, &query->filter))
			continue;
		part->matched++;
		if (atomic_fetch_sub(&query->room, 1) > 0)
			tell_session(session, &part->row_out);
		if (query->kills)
			end_session(session);
	}
	return false;
}

static void part_done(struct task *task)
{
	struct session_query *query = ((struct part *)task)->query;
	struct admin *admin = query->admin;
	if (atomic_fetch_sub(&query->left, 1) > 1)
		return;
	query->next = atomic_load(&admin->finished);
	while (!atomic_compare_exchange_weak(&admin->finished, &query->next, query))
		;
	ev_async_send(admin->gatehouse->loop, &admin->query_done);
}

/* On the main thread again. */

static void query_free(struct session_query *query)
{
	for (unsigned i = 0; i < query->count; i++)
		strbuf_finish(&query->parts[i].rows);
	free(query->filter.route);
	free(query->filter.cn);
	free(query);
}

static void query_answer(struct session_query *query)
{
	struct answer answer;
	unsigned long long matched = 0;
	answer_begin(&answer);
	json_out_list(&answer.json, "sessions");
	for (unsigned i = 0; i < query->count; i++) {
		const struct part *part = &query->parts[i];
		matched += part->matched;
		json_out_raw(&answer.json, NULL, &part->rows);
	}
	json_out_close(&answer.json);
	json_out_number(&answer.json, query->kills ? "killed" : "matched", (long long)matched);
	answer_give(query->call, &answer);
	if (query->kills && matched > 0)
		log_warning("control: %llu connections are killed", matched);
	query_free(query);
}

static void on_query_done(struct ev_loop *loop, ev_async *async, int events)
{
	struct admin *admin = async->data;
	struct session_query *next;
	(void)loop, (void)events;
	for (struct session_query *query = atomic_exchange(&admin->finished, NULL); query;
		query = next) {
		next = query->next;
		query_answer(query);
	}
}

static void ask_workers(struct admin *admin, struct session_query *query)
{
	atomic_store(&query->left, query->count);
	for (unsigned i = 0, count = query->count; i < count; i++) {
		struct part *part = &query->parts[i];
		part->query = query;
		part->row_out.text = &part->rows;
		part->task.run = look_at_some;
		part->task.done = part_done;
		worker_ask(admin->gatehouse->workers[i], &part->task);
	}
}

static void ask(
	struct admin *admin, struct control_call *call, const struct request *request, bool kills)
{
	unsigned count = admin->gatehouse->worker_count;
	const char *limit = request_text(request, "limit");
	struct session_query *query = calloc(1, sizeof *query + count * sizeof *query->parts);
	struct err err = {"out of memory"};
	if (!query || !parse_filter(&query->filter, request, &err)) {
		free(query);
		admin_refuse(call, err.text);
		return;
	}
	query->admin = admin;
	query->call = call;
	query->kills = kills;
	query->count = count;
	atomic_store(&query->room, kills ? 0 : limit ? atoll(limit) : ROWS_DEFAULT);
	ask_workers(admin, query);
}

void admin_sessions(struct admin *admin, struct control_call *call, const struct request *request)
{
	ask(admin, call, request, false);
}

void admin_kill(struct admin *admin, struct control_call *call, const struct request *request)
{
	static const char *const filters[] = {"route", "cn", "from", "id"};
	bool is_meant = request_flag(request, "all");
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
		is_meant |= request_text(request, filters[i]) != NULL;
	if (is_meant)
		ask(admin, call, request, true);
	else
		admin_refuse(call, "kill whom? Expected --route, --cn, --from, --id, or --all");
}

void sessions_init(struct admin *admin)
{
	ev_async_init(&admin->query_done, on_query_done);
	admin->query_done.data = admin;
	ev_async_start(admin->gatehouse->loop, &admin->query_done);
}

/* Every worker has ended, so every query has finished; nobody hears the answers. */
void sessions_finish(struct admin *admin)
{
	struct session_query *next;
	ev_async_stop(admin->gatehouse->loop, &admin->query_done);
	for (struct session_query *query = atomic_exchange(&admin->finished, NULL); query;
		query = next) {
		next = query->next;
		query_free(query);
	}
}
