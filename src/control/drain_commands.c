#include "control/admin_inside.h"

#include "base/log.h"
#include "route/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct drained **find(struct admin *admin, const char *name)
{
	struct drained **at = &admin->drained;
	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static size_t mark(struct routes *routes, const struct drained *drained, bool is_drained)
{
	return drained->is_server ? routes_drain_server(routes, drained->name, is_drained)
				  : routes_drain_host(routes, drained->name, is_drained);
}

void drained_apply(struct admin *admin, struct routes *routes)
{
	for (struct drained *drained = admin->drained; drained; drained = drained->next)
		mark(routes, drained, true);
}

void drained_text(const struct admin *admin, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	if (atomic_load(&admin->gatehouse->limits.drained))
		used += (size_t)snprintf(out, size, "all");
	for (struct drained *drained = admin->drained; drained && used < size;
		drained = drained->next)
		used += (size_t)snprintf(
			out + used, size - used, "%s%s", used ? ", " : "", drained->name);
}

static void forget(struct drained **at)
{
	struct drained *drained = *at;
	*at = drained->next;
	free(drained);
}

void drained_free(struct admin *admin)
{
	while (admin->drained)
		forget(&admin->drained);
}

static void log_change(const char *message, const char *name)
{
	struct log_line line;
	log_begin(&line, LOG_WARNING_LEVEL, message);
	log_text(&line, "name", name);
	log_end(&line);
}

/* What is left to wait for. */
static void answer(struct admin *admin, struct control_call *call, const char *name, size_t matched)
{
	struct answer text;
	admin_tell(admin);
	answer_begin(&text);
	json_out_text(&text.json, "name", name);
	json_out_number(&text.json, "matched", (long long)matched);
	json_out_text(&text.json, "drained", admin->told.drained[0] ? admin->told.drained : NULL);
	answer_give(call, &text);
}

static void drain_all(struct admin *admin, struct control_call *call, bool is_drained)
{
	atomic_store(&admin->gatehouse->limits.drained, is_drained);
	log_change(is_drained ? "drained" : "undrained", "all");
	answer(admin, call, "all", routes_summary(admin->gatehouse->routes).hosts);
}

static struct drained *drained_create(const char *name)
{
	size_t size = strlen(name) + 1;
	struct drained *drained = malloc(sizeof *drained + size);
	if (!drained)
		return NULL;
	*drained = (struct drained){0};
	memcpy(drained->name, name, size);
	return drained;
}

/* A host's name has no port and a server's has one, or is a socket: they are never mixed up. */
static void drain_name(struct admin *admin, struct control_call *call, const char *name)
{
	struct routes *routes = admin->gatehouse->routes;
	struct drained *drained = drained_create(name);
	size_t matched = drained ? mark(routes, drained, true) : 0;
	if (drained && matched == 0) {
		drained->is_server = true;
		matched = mark(routes, drained, true);
	}
	if (matched == 0) {
		free(drained);
		admin_refuse(call, "no host and no server of that name is configured");
		return;
	}
	if (*find(admin, name)) {
		free(drained);
	} else {
		drained->next = admin->drained;
		admin->drained = drained;
		log_change("drained", name);
	}
	answer(admin, call, name, matched);
}

void admin_drain(struct admin *admin, struct control_call *call, const struct request *request)
{
	const char *name = request_text(request, "name");
	if (!name)
		admin_refuse(call, "drain what? Expected HOST, SERVER or \"all\"");
	else if (strcmp(name, "all") == 0)
		drain_all(admin, call, true);
	else
		drain_name(admin, call, name);
}

static void undrain_everything(struct admin *admin, struct control_call *call)
{
	while (admin->drained) {
		mark(admin->gatehouse->routes, admin->drained, false);
		forget(&admin->drained);
	}
	drain_all(admin, call, false);
}

void admin_undrain(struct admin *admin, struct control_call *call, const struct request *request)
{
	const char *name = request_text(request, "name");
	if (!name) {
		admin_refuse(call, "undrain what? Expected HOST, SERVER or \"all\"");
		return;
	}
	if (strcmp(name, "all") == 0) {
		undrain_everything(admin, call);
		return;
	}
	struct drained **at = find(admin, name);
	if (!*at) {
		admin_refuse(call, "nothing of that name is drained");
		return;
	}
	size_t matched = mark(admin->gatehouse->routes, *at, false);
	forget(at);
	log_change("undrained", name);
	answer(admin, call, name, matched);
}
