#include "control/http_listeners.h"

#include "admin/http.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define SERVERS_MAX 2

struct http_listeners {
	struct state *state;
	struct http *servers[SERVERS_MAX];
	struct http *prepared[SERVERS_MAX]; /* those that are new in the next configuration */
};

/* What one configuration asks for. */
struct http_wanted {
	const char *listen, *where;
	unsigned parts;
};

static unsigned http_wanted_of(const struct config *config, struct http_wanted out[SERVERS_MAX])
{
	const struct admin_config *health = &config->health, *metrics = &config->metrics;
	unsigned count = 0;
	if (health->enabled)
		out[count++] = (struct http_wanted){health->listen, health->where, HTTP_HEALTH};
	if (!metrics->enabled)
		return count;
	if (count > 0 && strcmp(out[0].listen, metrics->listen) == 0)
		out[0].parts |= HTTP_METRICS;
	else
		out[count++] = (struct http_wanted){metrics->listen, metrics->where, HTTP_METRICS};
	return count;
}

static struct http *http_on(struct http *const servers[SERVERS_MAX], const char *listen)
{
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		if (servers[i] && strcmp(http_listens_on(servers[i]), listen) == 0)
			return servers[i];
	return NULL;
}

struct http_listeners *http_listeners_create(struct state *state)
{
	struct http_listeners *listeners = calloc(1, sizeof *listeners);
	if (listeners)
		listeners->state = state;
	return listeners;
}

static void http_rollback(void *owner)
{
	struct http_listeners *listeners = owner;
	for (unsigned i = 0; i < SERVERS_MAX; i++) {
		http_close(listeners->prepared[i]);
		listeners->prepared[i] = NULL;
	}
}

static bool http_prepare(void *owner, const struct config *next, struct report *report)
{
	struct http_listeners *listeners = owner;
	struct http_wanted wanted[SERVERS_MAX];
	unsigned count = http_wanted_of(next, wanted);
	bool ok = true;
	for (unsigned i = 0; i < count; i++) {
		struct err err;
		if (http_on(listeners->servers, wanted[i].listen))
			continue;
		listeners->prepared[i] = http_open(wanted[i].listen, &err);
		if (listeners->prepared[i])
			continue;
		report_error(report, "%s: \"%s\": %s", wanted[i].where, wanted[i].listen, err.text);
		report_cause(report, &err);
		ok = false;
	}
	if (!ok)
		http_rollback(listeners);
	return ok;
}

/* Each place of `servers` gets what is wanted there; what has no place any more is closed. */
static void http_commit(void *owner, const struct reload_event *event)
{
	struct http_listeners *listeners = owner;
	struct http_wanted wanted[SERVERS_MAX];
	unsigned count = http_wanted_of(routes_config(event->routes), wanted);
	struct http *before[SERVERS_MAX], **servers = listeners->servers;
	memcpy(before, servers, sizeof before);
	for (unsigned i = 0; i < SERVERS_MAX; i++) {
		struct err err;
		struct http *http = i < count ? http_on(before, wanted[i].listen) : NULL;
		servers[i] = http ? http : listeners->prepared[i];
		listeners->prepared[i] = NULL;
		if (servers[i] && !http_serve(servers[i], wanted[i].parts, listeners->state, &err))
			log_error("%s: %s", wanted[i].listen, err.text);
	}
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		if (before[i] && before[i] != servers[0] && before[i] != servers[1])
			http_close(before[i]);
}

static void http_each(void *owner, listener_visit_fn *visit, void *visitor)
{
	const struct http_listeners *listeners = owner;
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		if (listeners->servers[i])
			visit(visitor, http_listener(listeners->servers[i]));
}

static bool http_needs_counters(const void *owner, const struct config *config)
{
	(void)owner;
	return config->health.enabled || config->metrics.enabled;
}

/* The new process answers new connections; those that are open get their answers here. */
static void http_on_upgraded(void *owner, pid_t pid)
{
	struct http_listeners *listeners = owner;
	(void)pid;
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		if (listeners->servers[i])
			http_stop_listening(listeners->servers[i]);
}

struct participant http_listeners_participant(struct http_listeners *listeners)
{
	return (struct participant){.name = "admin HTTP",
		.owner = listeners,
		.prepare = http_prepare,
		.commit = http_commit,
		.rollback = http_rollback,
		.each_listener = http_each,
		.needs_counters = http_needs_counters,
		.on_upgraded = http_on_upgraded};
}

void http_listeners_destroy(struct http_listeners *listeners)
{
	if (!listeners)
		return;
	http_rollback(listeners);
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		http_close(listeners->servers[i]);
	free(listeners);
}
