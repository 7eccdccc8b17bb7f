#include "control/commands.h"

#include "admin/inventory.h"
#include "admin/pages.h"
#include "base/log.h"
#include "control/answer.h"
#include "control/drain_commands.h"
#include "control/explain_command.h"
#include "control/request.h"
#include "control/route_commands.h"

#include <string.h>

static void do_status(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	const struct published_state *published = state_feed_published(commands->feed);
	struct answer answer;
	(void)request;
	state_feed_update(commands->feed);
	answer_begin(&answer);
	page_write_process(state_feed_state(commands->feed), published, &answer.json);
	page_write_reload(&published->reload, &answer.json);
	answer_send(call, &answer);
}

static void do_certs(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	struct answer answer;
	(void)request;
	answer_begin(&answer);
	page_write_certificates(daemon_routes(commands->daemon), INVENTORY_MAX, &answer.json);
	answer_send(call, &answer);
}

static void do_servers(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	struct answer answer;
	(void)request;
	answer_begin(&answer);
	page_write_servers(daemon_routes(commands->daemon), INVENTORY_MAX, &answer.json);
	answer_send(call, &answer);
}

static void do_routes(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	command_routes(daemon_routes(commands->daemon), call, request);
}

static void do_explain(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	command_explain(daemon_routes(commands->daemon), daemon_is_drained(commands->daemon), call,
		request);
}

static void do_log_level(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	const struct config *config = routes_config(daemon_routes(commands->daemon));
	const char *name = request_text(request, "level");
	enum log_level level;
	struct answer answer;
	if (!name || !log_level_parse(name, &level)) {
		answer_refuse(call, "expected a level: error, warn, info or debug");
		return;
	}
	log_configure(level, config->logging.json);
	answer_begin(&answer);
	json_out_text(&answer.json, "level", name);
	answer_send(call, &answer);
}

static void do_reload(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	unsigned earlier;
	struct err err;
	(void)request;
	if (waiting_has_reload(commands->waiting))
		answer_refuse(call, "a reload is under way for another caller");
	else if (daemon_reload(commands->daemon, &earlier, &err))
		waiting_add_reload(commands->waiting, call, earlier);
	else
		answer_refuse(call, err.text);
}

static void do_upgrade(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	struct err err;
	(void)request;
	if (daemon_upgrade(commands->daemon, &err)) {
		waiting_add_upgrade(commands->waiting, call);
		return;
	}
	err_prefix(&err, "no upgrade: ");
	answer_refuse(call, err.text);
}

static struct drain_target drain_target_of(const struct commands *commands)
{
	return (struct drain_target){commands->daemon, commands->drained, commands->feed};
}

static void do_drain(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	struct drain_target target = drain_target_of(commands);
	command_drain(&target, call, request);
}

static void do_undrain(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	struct drain_target target = drain_target_of(commands);
	command_undrain(&target, call, request);
}

static void do_sessions(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	command_sessions(commands->queries, call, request);
}

static void do_kill(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	command_kill(commands->queries, call, request);
}

static const struct command {
	const char *name, *members; /* those that its request may have */
	void (*run)(const struct commands *commands, struct control_call *call,
		const struct request *request);
} table[] = {
	{"status", "", do_status},
	{"sessions", "route cn from id limit", do_sessions},
	{"kill", "route cn from id all", do_kill},
	{"routes", "route limit", do_routes},
	{"servers", "", do_servers},
	{"certs", "", do_certs},
	{"explain", "sni alpn from listen plaintext starttls json", do_explain},
	{"reload", "", do_reload},
	{"upgrade", "", do_upgrade},
	{"drain", "name", do_drain},
	{"undrain", "name", do_undrain},
	{"log-level", "level", do_log_level},
};

static const struct command *command_of_name(const char *name)
{
	for (size_t i = 0; name && i < sizeof table / sizeof *table; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

static void run_request(
	const struct commands *commands, struct control_call *call, const struct request *request)
{
	const char *name = request_text(request, "command");
	const struct command *command = command_of_name(name);
	struct err err;
	if (command && request_has_only(request, command->members, &err)) {
		command->run(commands, call, request);
		return;
	}
	if (!command)
		err_set(&err, "no command \"%s\"", name ? name : "");
	answer_refuse(call, err.text);
}

void commands_on_request(void *owner, struct control_call *call, const char *line, size_t len)
{
	struct request request;
	struct err err;
	if (request_parse(&request, line, len, &err))
		run_request(owner, call, &request);
	else
		answer_refuse(call, err.text);
	request_finish(&request);
}
