#include "control/session_commands.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/answer.h"
#include "session/engine.h"
#include "session/session_iter.h"
#include "tls/cert/identity.h"
#include "wire/cidr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sessions examined in one turn of a worker's loop. */
#define SESSIONS_PER_TURN 512

#define ROWS_DEFAULT 1000

struct filter {
	char *route, *cn; /* NULL: any */
	bool has_from;
	struct network from;
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
	struct session_queries *queries;
	struct control_call *call;
	struct filter filter;
	bool kills;
	atomic_llong room;          /* rows that may still be written */
	atomic_uint left;           /* parts under way */
	struct session_query *next; /* in queries->finished */
	unsigned count;
	struct part parts[];
};

struct session_queries {
	struct daemon *daemon;
	struct wakeup done;
	_Atomic(struct session_query *) finished; /* answers ready to be given */
};

/* Filters. */

static bool comes_from(const struct session *session, const struct network *network)
{
	struct in6_addr address;
	return cidr_address(&session->source.any, &address) && network_contains(network, &address);
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

static bool filter_matches(const struct session *session, const struct filter *filter)
{
	if (filter->id >= 0 && session->id != (unsigned long long)filter->id)
		return false;
	if (filter->route && (!session->route || strcmp(session->route->host, filter->route) != 0))
		return false;
	if (filter->has_from && !comes_from(session, &filter->from))
		return false;
	return !filter->cn || is_named(session, filter->cn);
}

static bool filter_parse(struct filter *filter, const struct request *request, struct err *err)
{
	const char *route = request_text(request, "route"), *cn = request_text(request, "cn");
	const char *from = request_text(request, "from"), *id = request_text(request, "id");
	char *end = NULL;
	*filter = (struct filter){.id = id ? strtoll(id, &end, 10) : -1};
	if (id && (*end || filter->id < 0)) {
		err_set(err, "id: expected a number, got \"%s\"", id);
		return false;
	}
	filter->has_from = from != NULL;
	if (from && !network_parse(from, &filter->from)) {
		err_set(err,
			"from: expected an address or a network such as \"10.0.0.0/8\", got \"%s\"",
			from);
		return false;
	}
	filter->route = route ? strdup(route) : NULL;
	filter->cn = cn ? strdup(cn) : NULL;
	return true;
}

/* On the worker's thread. */

static void write_client(const struct session *session, struct json_out *out)
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

static void write_route(const struct session *session, struct json_out *out)
{
	const struct route *route = session->route;
	char alpn[ALPN_TEXT_MAX] = "";
	if (session->hello)
		alpn_text(session->hello->alpn, alpn, sizeof alpn);
	json_out_text(out, "route", route ? route->host : NULL);
	json_out_text(out, "alpn", alpn[0] ? alpn : NULL);
	json_out_text(out, "mode", route ? route_mode_name(route) : NULL);
	json_out_text(out, "upstream", session_upstream_text(session));
}

static void write_session(const struct session *session, struct json_out *out)
{
	uint64_t age_us = clock_now_us() - session->began_us;
	json_out_object(out, NULL);
	json_out_number(out, "id", (long long)session->id);
	write_client(session, out);
	write_route(session, out);
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

static bool examine_some(struct task *task, struct service *service)
{
	struct part *part = (struct part *)task;
	struct session_query *query = part->query;
	struct session *session;
	if (!part->is_begun)
		session_iter_begin(&part->iter, service);
	part->is_begun = true;
	for (unsigned i = 0; i < SESSIONS_PER_TURN; i++) {
		session = session_iter_next(&part->iter);
		if (!session) {
			session_iter_end(&part->iter);
			return true;
		}
		if (!filter_matches(session, &query->filter))
			continue;
		part->matched++;
		if (atomic_fetch_sub(&query->room, 1) > 0)
			write_session(session, &part->row_out);
		if (query->kills)
			end_session(session);
	}
	return false;
}

static void part_done(struct task *task)
{
	struct session_query *query = ((struct part *)task)->query;
	struct session_queries *queries = query->queries;
	if (atomic_fetch_sub(&query->left, 1) > 1)
		return;
	query->next = atomic_load(&queries->finished);
	while (!atomic_compare_exchange_weak(&queries->finished, &query->next, query))
		;
	wakeup_send(&queries->done);
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
		json_out_raw(&answer.json, NULL, &query->parts[i].rows);
		matched += query->parts[i].matched;
	}
	json_out_close(&answer.json);
	json_out_number(&answer.json, query->kills ? "killed" : "matched", (long long)matched);
	answer_send(query->call, &answer);
	if (query->kills && matched > 0)
		log_warning("control: %llu connections are killed", matched);
	query_free(query);
}

static void on_queries_done(void *owner)
{
	struct session_queries *queries = owner;
	struct session_query *next;
	for (struct session_query *query = atomic_exchange(&queries->finished, NULL); query;
		query = next) {
		next = query->next;
		query_answer(query);
	}
}

/* The last part may be done, and the query with it, before this returns. */
static void query_start(struct session_query *query)
{
	struct daemon *daemon = query->queries->daemon;
	unsigned count = query->count;
	atomic_store(&query->left, count);
	for (unsigned i = 0; i < count; i++) {
		struct part *part = &query->parts[i];
		part->query = query;
		part->row_out.text = &part->rows;
		part->task.run = examine_some;
		part->task.done = part_done;
		daemon_add_task(daemon, i, &part->task);
	}
}

static void query_workers(struct session_queries *queries, struct control_call *call,
	const struct request *request, bool kills)
{
	unsigned count = daemon_worker_count(queries->daemon);
	const char *limit = request_text(request, "limit");
	struct session_query *query = calloc(1, sizeof *query + count * sizeof *query->parts);
	struct err err = {.text = "out of memory"};
	if (!query || !filter_parse(&query->filter, request, &err)) {
		free(query);
		answer_refuse(call, err.text);
		return;
	}
	query->queries = queries;
	query->call = call;
	query->kills = kills;
	query->count = count;
	atomic_store(&query->room, kills ? 0 : limit ? atoll(limit) : ROWS_DEFAULT);
	query_start(query);
}

void command_sessions(
	struct session_queries *queries, struct control_call *call, const struct request *request)
{
	query_workers(queries, call, request, false);
}

void command_kill(
	struct session_queries *queries, struct control_call *call, const struct request *request)
{
	static const char *const filters[] = {"route", "cn", "from", "id"};
	bool has_filter = request_flag(request, "all");
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
		has_filter |= request_text(request, filters[i]) != NULL;
	if (has_filter)
		query_workers(queries, call, request, true);
	else
		answer_refuse(call, "kill whom? Expected --route, --cn, --from, --id, or --all");
}

struct session_queries *session_queries_create(struct daemon *daemon, struct err *err)
{
	struct session_queries *queries = calloc(1, sizeof *queries);
	if (!queries) {
		err_set(err, "out of memory");
		return NULL;
	}
	queries->daemon = daemon;
	if (wakeup_open(&queries->done, daemon_loop(daemon), on_queries_done, queries, err))
		return queries;
	free(queries);
	return NULL;
}

void session_queries_destroy(struct session_queries *queries)
{
	struct session_query *next;
	if (!queries)
		return;
	wakeup_close(&queries->done);
	for (struct session_query *query = atomic_exchange(&queries->finished, NULL); query;
		query = next) {
		next = query->next;
		query_free(query);
	}
	free(queries);
}
