#include "control/waiting.h"

#include "admin/pages.h"
#include "control/answer.h"

/* Items of each list of an answer. */
#define ITEMS_MAX 200

void waiting_init(struct waiting *waiting, const struct state_feed *feed)
{
	*waiting = (struct waiting){.feed = feed};
}

bool waiting_has_reload(const struct waiting *waiting)
{
	return waiting->reload != NULL;
}

void waiting_add_reload(struct waiting *waiting, struct control_call *call, unsigned earlier)
{
	waiting->reload = call;
	waiting->earlier = earlier;
}

void waiting_add_upgrade(struct waiting *waiting, struct control_call *call)
{
	waiting->upgrade = call;
}

/* The caller whose reload has ended, or NULL. */
static struct control_call *take_reload_call(struct waiting *waiting)
{
	struct control_call *call = waiting->reload;
	if (!call || waiting->earlier-- > 0)
		return NULL;
	waiting->reload = NULL;
	return call;
}

struct change_list {
	struct json_out *out;
	unsigned left;
};

static bool write_change(void *owner, char what, const char *host)
{
	struct change_list *list = owner;
	if (list->left-- == 0)
		return false;
	json_out_object(list->out, NULL);
	json_out_text(list->out, "change",
		what == '+'           ? "added"
			: what == '-' ? "removed"
				      : "changed");
	json_out_text(list->out, "route", host);
	json_out_close(list->out);
	return true;
}

static void write_findings(struct json_out *out, const char *key, enum severity severity,
	const struct findings *findings)
{
	unsigned left = ITEMS_MAX;
	json_out_list(out, key);
	for (size_t i = 0; findings && i < findings->count && left > 0; i++)
		if (findings->items[i].severity == severity) {
			json_out_text(out, NULL, findings->items[i].text);
			left--;
		}
	json_out_close(out);
}

/* `event` is NULL where nothing has changed. */
static void answer_reload(const struct waiting *waiting, struct control_call *call,
	const struct findings *findings, const struct reload_event *event)
{
	const struct reload_facts *reload = &state_feed_published(waiting->feed)->reload;
	struct answer answer;
	struct change_list list = {&answer.json, ITEMS_MAX};
	if (reload->outcome == RELOAD_REFUSED)
		answer_begin_refusal(&answer,
			reload->retry_seconds > 0
				? "reload refused, the running configuration stays; retrying"
				: "reload refused, the running configuration stays");
	else
		answer_begin(&answer);
	page_write_reload(reload, &answer.json);
	write_findings(&answer.json, "errors", SEVERITY_ERROR, findings);
	write_findings(&answer.json, "warnings", SEVERITY_WARNING, findings);
	json_out_list(&answer.json, "changes");
	if (event)
		routes_each_change(event->before, event->routes, write_change, &list);
	json_out_close(&answer.json);
	answer_send(call, &answer);
}

static void waiting_on_reloaded(void *owner, const struct reload_event *event)
{
	struct control_call *call = take_reload_call(owner);
	if (call)
		answer_reload(owner, call, event->findings, event);
}

static void waiting_on_unchanged(void *owner, uint64_t took_us)
{
	struct control_call *call = take_reload_call(owner);
	(void)took_us;
	if (call)
		answer_reload(owner, call, NULL, NULL);
}

static void waiting_on_refused(void *owner, const struct findings *findings, unsigned retry_seconds)
{
	struct control_call *call = take_reload_call(owner);
	(void)retry_seconds; /* the published state has it */
	if (call)
		answer_reload(owner, call, findings, NULL);
}

static struct control_call *take_upgrade_call(struct waiting *waiting)
{
	struct control_call *call = waiting->upgrade;
	waiting->upgrade = NULL;
	return call;
}

static void waiting_on_upgraded(void *owner, pid_t pid)
{
	struct control_call *call = take_upgrade_call(owner);
	struct answer answer;
	if (!call)
		return;
	answer_begin(&answer);
	json_out_number(&answer.json, "new_pid", pid);
	answer_send(call, &answer);
}

static void waiting_on_upgrade_failed(void *owner, const char *error)
{
	struct control_call *call = take_upgrade_call(owner);
	struct answer answer;
	if (!call)
		return;
	answer_begin_refusal(&answer, "upgrade failed, the running process continues");
	json_out_text(&answer.json, "reason", error);
	answer_send(call, &answer);
}

struct participant waiting_participant(struct waiting *waiting)
{
	return (struct participant){.name = "waiting callers",
		.owner = waiting,
		.on_reloaded = waiting_on_reloaded,
		.on_reload_unchanged = waiting_on_unchanged,
		.on_reload_refused = waiting_on_refused,
		.on_upgraded = waiting_on_upgraded,
		.on_upgrade_failed = waiting_on_upgrade_failed};
}
