#include "control/route_commands.h"

#include "control/answer.h"
#include "route/inspect.h"
#include "stats/route_stats.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_DEFAULT 1000

struct route_list {
	struct json_out *out;
	const char *wanted;
	long long room, matched;
};

static void write_backend(struct json_out *out, const struct backend *backend)
{
	char more[320] = "";
	if (backend && backend->count > 0)
		snprintf(more, sizeof more, backend->count > 1 ? "%s and %u more" : "%s",
			backend->servers[0].text, backend->count - 1);
	json_out_text(out, "backend", more[0] ? more : NULL);
}

static void write_stats(struct json_out *out, const struct route_stats *stats)
{
	static const struct route_stats nothing;
	struct route_stats *it = (struct route_stats *)(stats ? stats : &nothing);
	json_out_number(out, "active", atomic_load(&it->active));
	json_out_number(out, "connections", (long long)atomic_load(&it->connections));
	json_out_number(out, "up", (long long)atomic_load(&it->up));
	json_out_number(out, "down", (long long)atomic_load(&it->down));
	json_out_number(out, "errors", (long long)atomic_load(&it->errors));
}

static bool write_route(void *owner, const struct route *route)
{
	struct route_list *list = owner;
	char alpn[ALPN_TEXT_MAX];
	if (list->wanted && strcmp(route->host, list->wanted) != 0)
		return true;
	list->matched++;
	if (list->room-- <= 0)
		return true;
	alpn_text(route->alpn, alpn, sizeof alpn);
	json_out_object(list->out, NULL);
	json_out_text(list->out, "route", route->host);
	json_out_text(list->out, "alpn", alpn[0] ? alpn : NULL);
	json_out_text(list->out, "mode", route_mode_name(route));
	json_out_text(list->out, "client_auth", route_client_auth_name(route));
	write_backend(list->out, route->backend);
	write_stats(list->out, atomic_load(&((struct route *)route)->stats));
	json_out_flag(list->out, "drained", atomic_load(&((struct route *)route)->drained));
	json_out_close(list->out);
	return true;
}

void command_routes(
	const struct routes *routes, struct control_call *call, const struct request *request)
{
	struct answer answer;
	const char *limit = request_text(request, "limit");
	struct route_list list = {.out = &answer.json,
		.wanted = request_text(request, "route"),
		.room = limit ? atoll(limit) : ROUTES_DEFAULT};
	answer_begin(&answer);
	json_out_list(&answer.json, "routes");
	routes_each(routes, write_route, &list);
	json_out_close(&answer.json);
	json_out_number(&answer.json, "matched", list.matched);
	answer_send(call, &answer);
}
