#include "control/drain_commands.h"

#include "base/log.h"
#include "control/answer.h"

#include <string.h>

static void log_change(const char *message, const char *name)
{
	struct log_line line;
	log_begin(&line, LOG_WARNING_LEVEL, message);
	log_text(&line, "name", name);
	log_end(&line);
}

static void answer_change(const struct drain_target *target, struct control_call *call,
	const char *name, size_t matched)
{
	struct answer answer;
	state_feed_update(target->feed);
	const char *drained = state_feed_published(target->feed)->drained;
	answer_begin(&answer);
	json_out_text(&answer.json, "name", name);
	json_out_number(&answer.json, "matched", (long long)matched);
	json_out_text(&answer.json, "drained", drained[0] ? drained : NULL);
	answer_send(call, &answer);
}

static void set_all(const struct drain_target *target, struct control_call *call, bool is_drained)
{
	daemon_set_drained(target->daemon, is_drained);
	log_change(is_drained ? "drained" : "undrained", "all");
	answer_change(target, call, "all", routes_summary(daemon_routes(target->daemon)).hosts);
}

static void drain_name(
	const struct drain_target *target, struct control_call *call, const char *name)
{
	size_t matched;
	switch (drained_add(target->drained, daemon_routes(target->daemon), name, &matched)) {
	case DRAINED_UNKNOWN:
		answer_refuse(call, "no host and no server of that name is configured");
		return;
	case DRAINED_NO_MEMORY:
		answer_refuse(call, "out of memory");
		return;
	case DRAINED_NEW:
		log_change("drained", name);
		break;
	case DRAINED_BEFORE:
		break;
	}
	answer_change(target, call, name, matched);
}

void command_drain(
	const struct drain_target *target, struct control_call *call, const struct request *request)
{
	const char *name = request_text(request, "name");
	if (!name)
		answer_refuse(call, "drain what? Expected HOST, SERVER or \"all\"");
	else if (strcmp(name, "all") == 0)
		set_all(target, call, true);
	else
		drain_name(target, call, name);
}

void command_undrain(
	const struct drain_target *target, struct control_call *call, const struct request *request)
{
	const char *name = request_text(request, "name");
	struct routes *routes = daemon_routes(target->daemon);
	size_t matched;
	if (!name) {
		answer_refuse(call, "undrain what? Expected HOST, SERVER or \"all\"");
	} else if (strcmp(name, "all") == 0) {
		drained_remove_all(target->drained, routes);
		set_all(target, call, false);
	} else if (drained_remove(target->drained, routes, name, &matched)) {
		log_change("undrained", name);
		answer_change(target, call, name, matched);
	} else {
		answer_refuse(call, "nothing of that name is drained");
	}
}
