#include "control/admin_inside.h"

#include "admin/inventory.h"
#include "admin/pages.h"
#include "base/log.h"
#include "explain/explain.h"
#include "route/inspect.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_DEFAULT 1000
#define CHANGES_MAX    200

/* Answers. */

static void answer_open(struct answer *answer, bool is_ok)
{
	*answer = (struct answer){.json.text = &answer->text};
	json_out_object(&answer->json, NULL);
	json_out_flag(&answer->json, "ok", is_ok);
}

void answer_begin(struct answer *answer)
{
	answer_open(answer, true);
}

void answer_give(struct control_call *call, struct answer *answer)
{
	json_out_close(&answer->json);
	strbuf_printf(&answer->text, "\n");
	control_answer(call, &answer->text);
}

static void refuse_begin(struct answer *answer, const char *error)
{
	answer_open(answer, false);
	json_out_text(&answer->json, "error", error);
}

void admin_refuse(struct control_call *call, const char *error)
{
	struct answer answer;
	refuse_begin(&answer, error);
	answer_give(call, &answer);
}

/* What there is. */

static void do_status(struct admin *admin, struct control_call *call, const struct request *request)
{
	struct answer answer;
	(void)request;
	admin_tell(admin);
	answer_begin(&answer);
	tell_process(admin->state, &admin->told, &answer.json);
	tell_reload(&admin->told.reload, &answer.json);
	answer_give(call, &answer);
}

static void do_certs(struct admin *admin, struct control_call *call, const struct request *request)
{
	struct answer answer;
	(void)request;
	answer_begin(&answer);
	tell_certificates(admin->gatehouse->routes, INVENTORY_MAX, &answer.json);
	answer_give(call, &answer);
}

static void do_servers(
	struct admin *admin, struct control_call *call, const struct request *request)
{
	struct answer answer;
	(void)request;
	answer_begin(&answer);
	tell_servers(admin->gatehouse->routes, INVENTORY_MAX, &answer.json);
	answer_give(call, &answer);
}

struct routes_telling {
	struct json_out *out;
	const char *wanted;
	long long room, matched;
};

static void tell_backend(struct json_out *out, const struct backend *backend)
{
	char more[320] = "";
	if (backend && backend->count > 0)
		snprintf(more, sizeof more, backend->count > 1 ? "%s and %u more" : "%s",
			backend->servers[0].text, backend->count - 1);
	json_out_text(out, "backend", more[0] ? more : NULL);
}

static void tell_tally(struct json_out *out, const struct route_stats *stats)
{
	static const struct route_stats nothing;
	struct route_stats *it = (struct route_stats *)(stats ? stats : &nothing);
	json_out_number(out, "active", atomic_load(&it->active));
	json_out_number(out, "connections", (long long)atomic_load(&it->connections));
	json_out_number(out, "up", (long long)atomic_load(&it->up));
	json_out_number(out, "down", (long long)atomic_load(&it->down));
	json_out_number(out, "errors", (long long)atomic_load(&it->errors));
}

static bool tell_route(void *owner, const struct route *route)
{
	static const char *const auth[] = {[TLS_VERIFY_NONE] = "none",
		[TLS_VERIFY_OPTIONAL] = "optional",
		[TLS_VERIFY_REQUIRED] = "required"};
	struct routes_telling *telling = owner;
	char alpn[ALPN_TEXT_MAX];
	if (telling->wanted && strcmp(route->host, telling->wanted) != 0)
		return true;
	telling->matched++;
	if (telling->room-- <= 0)
		return true;
	alpn_text(route->alpn, alpn, sizeof alpn);
	json_out_object(telling->out, NULL);
	json_out_text(telling->out, "route", route->host);
	json_out_text(telling->out, "alpn", alpn[0] ? alpn : NULL);
	json_out_text(telling->out, "mode",
		route->is_forward    ? "forward"
			: route->tls ? "terminate"
				     : "passthrough");
	json_out_text(
		telling->out, "client_auth", route->tls ? auth[route->tls->policy.verify] : NULL);
	tell_backend(telling->out, route->backend);
	tell_tally(telling->out, atomic_load(&((struct route *)route)->stats));
	json_out_flag(telling->out, "drained", atomic_load(&((struct route *)route)->drained));
	json_out_close(telling->out);
	return true;
}

static void do_routes(struct admin *admin, struct control_call *call, const struct request *request)
{
	struct answer answer;
	const char *limit = request_text(request, "limit");
	struct routes_telling telling = {.out = &answer.json,
		.wanted = request_text(request, "route"),
		.room = limit ? atoll(limit) : ROUTES_DEFAULT};
	answer_begin(&answer);
	json_out_list(&answer.json, "routes");
	routes_each(admin->gatehouse->routes, tell_route, &telling);
	json_out_close(&answer.json);
	json_out_number(&answer.json, "matched", telling.matched);
	answer_give(call, &answer);
}

/* What a client would get. */

static bool parse_source(const char *text, struct address *out, struct err *err)
{
	*out = (struct address){0};
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1)
		out->v4.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1)
		out->v6.sin6_family = AF_INET6;
	else
		err_set(err, "from: expected an IP address, got \"%s\"", text);
	return out->any.sa_family != AF_UNSPEC;
}

static void explain_into(struct strbuf *text, const struct routes *routes,
	const struct asked *asked, const struct asker *asker, bool is_json)
{
	struct out out;
	out_begin(&out, text, is_json);
	explain_asked(&out, asked);
	explain_route(&out, routes, asked, asker);
	out_end(&out);
}

static bool ask_for(struct asked *asked, const struct request *request, struct err *err)
{
	const char *sni = request_text(request, "sni");
	return asked_make(asked, sni ? sni : "", request_text(request, "alpn"), err);
}

/* For scripts the explanation is an object in the answer, for people a text. */
static void explained(struct control_call *call, const struct strbuf *text, bool is_json)
{
	struct answer answer;
	answer_begin(&answer);
	if (is_json)
		json_out_raw(&answer.json, "explained", text);
	else
		json_out_text(&answer.json, "text", text->at);
	answer_give(call, &answer);
}

static void do_explain(
	struct admin *admin, struct control_call *call, const struct request *request)
{
	const char *from = request_text(request, "from");
	bool is_json = request_flag(request, "json");
	struct asked *asked = calloc(1, sizeof *asked);
	struct address source;
	struct err err = {"out of memory"};
	struct strbuf text = {0};
	if (asked && ask_for(asked, request, &err) &&
		(!from || parse_source(from, &source, &err))) {
		struct asker asker = {NULL, from ? &source : NULL};
		explain_into(&text, admin->gatehouse->routes, asked, &asker, is_json);
	}
	free(asked);
	if (text.len > 0 && !text.failed)
		explained(call, &text, is_json);
	else
		admin_refuse(call, err.text);
	strbuf_finish(&text);
}

/* What is to be done. */

static void do_log_level(
	struct admin *admin, struct control_call *call, const struct request *request)
{
	const char *name = request_text(request, "level");
	enum log_level level;
	struct answer answer;
	if (!name || !log_level_parse(name, &level)) {
		admin_refuse(call, "expected a level: error, warn, info or debug");
		return;
	}
	log_configure(level, routes_config(admin->gatehouse->routes)->logging.json);
	answer_begin(&answer);
	json_out_text(&answer.json, "level", name);
	answer_give(call, &answer);
}

static void do_reload(struct admin *admin, struct control_call *call, const struct request *request)
{
	struct reload *reload = admin->gatehouse->reload;
	(void)request;
	if (admin->gatehouse->mode != WORKER_SERVE) {
		admin_refuse(call, "the process is about to end");
		return;
	}
	if (admin->reloading) {
		admin_refuse(call, "a reload is under way for somebody else");
		return;
	}
	if (upgrade_is_running(admin->gatehouse->upgrade)) {
		admin_refuse(call, "an upgrade is under way");
		return;
	}
	admin->loads_before = reload_is_running(reload);
	reload_start(reload);
	if (!reload_is_running(reload))
		admin_refuse(call, "cannot start a thread to load with");
	else
		admin->reloading = call;
}

static void do_upgrade(
	struct admin *admin, struct control_call *call, const struct request *request)
{
	struct err err;
	(void)request;
	if (upgrade_start(admin->gatehouse, &err)) {
		admin->upgrading = call;
		return;
	}
	err_prefix(&err, "no upgrade: ");
	admin_refuse(call, err.text);
}

void admin_tell_upgrade(struct admin *admin, pid_t pid, const char *error)
{
	struct control_call *call = admin->upgrading;
	struct answer answer;
	admin->upgrading = NULL;
	if (!call)
		return;
	if (error) {
		refuse_begin(&answer, "upgrade failed, the running gatehouse goes on serving");
		json_out_text(&answer.json, "reason", error);
	} else {
		answer_begin(&answer);
		json_out_number(&answer.json, "new_pid", pid);
	}
	answer_give(call, &answer);
}

struct changes_telling {
	struct json_out *out;
	unsigned left;
};

static bool tell_change(void *owner, char what, const char *host)
{
	struct changes_telling *telling = owner;
	if (telling->left-- == 0)
		return false;
	json_out_object(telling->out, NULL);
	json_out_text(telling->out, "change",
		what == '+'           ? "added"
			: what == '-' ? "removed"
				      : "changed");
	json_out_text(telling->out, "route", host);
	json_out_close(telling->out);
	return true;
}

static void tell_findings(struct json_out *out, const char *key, enum severity severity,
	const struct findings *findings)
{
	unsigned left = CHANGES_MAX;
	json_out_list(out, key);
	for (size_t i = 0; findings && i < findings->count && left > 0; i++)
		if (findings->items[i].severity == severity) {
			json_out_text(out, NULL, findings->items[i].text);
			left--;
		}
	json_out_close(out);
}

void admin_tell_reload(struct admin *admin, const struct routes *before, const struct routes *after,
	const struct findings *findings)
{
	struct control_call *call = admin->reloading;
	struct answer answer;
	struct changes_telling telling = {&answer.json, CHANGES_MAX};
	if (!call || admin->loads_before-- > 0)
		return;
	admin->reloading = NULL;
	if (admin->told.reload.outcome == RELOAD_REFUSED)
		refuse_begin(&answer, "reload refused, the running configuration stays");
	else
		answer_begin(&answer);
	tell_reload(&admin->told.reload, &answer.json);
	tell_findings(&answer.json, "errors", SEVERITY_ERROR, findings);
	tell_findings(&answer.json, "warnings", SEVERITY_WARNING, findings);
	json_out_list(&answer.json, "changes");
	if (before)
		routes_each_change(before, after, tell_change, &telling);
	json_out_close(&answer.json);
	answer_give(call, &answer);
}

/* Requests. */

static const struct {
	const char *name, *members;
	void (*run)(struct admin *admin, struct control_call *call, const struct request *request);
} commands[] = {
	{"status", "", do_status},
	{"sessions", "route cn from id limit", admin_sessions},
	{"kill", "route cn from id all", admin_kill},
	{"routes", "route limit", do_routes},
	{"servers", "", do_servers},
	{"certs", "", do_certs},
	{"explain", "sni alpn from json", do_explain},
	{"reload", "", do_reload},
	{"upgrade", "", do_upgrade},
	{"drain", "name", admin_drain},
	{"undrain", "name", admin_undrain},
	{"log-level", "level", do_log_level},
};

static void run(struct admin *admin, struct control_call *call, const struct request *request)
{
	const char *name = request_text(request, "command");
	struct err err;
	for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (request_has_only(request, commands[i].members, &err))
			commands[i].run(admin, call, request);
		else
			admin_refuse(call, err.text);
		return;
	}
	err_set(&err, "no command \"%s\"", name ? name : "");
	admin_refuse(call, err.text);
}

void admin_on_request(void *owner, struct control_call *call, const char *line, size_t len)
{
	struct request request;
	struct err err;
	if (request_parse(&request, line, len, &err))
		run(owner, call, &request);
	else
		admin_refuse(call, err.text);
	request_finish(&request);
}
