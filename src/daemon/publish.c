#include "daemon/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/systemd.h"

#include <stdlib.h>
#include <string.h>

/* Lines told one by one; how many there are stands in the line that ends them. */
#define TOLD_MAX 20

struct generation {
	struct routes *routes;
	struct generation *next;
};

void tell_workers(struct gatehouse *gatehouse, enum worker_mode mode)
{
	gatehouse->mode = mode;
	for (unsigned i = 0; i < gatehouse->worker_count; i++) {
		struct worker_order order = {.mode = mode,
			.routes = routes_ref(gatehouse->routes),
			.listeners = gatehouse->listeners,
			.listener_count = gatehouse->listener_count,
			.counting = admin_is_wanted(gatehouse->admin)};
		worker_tell(gatehouse->workers[i], &order);
	}
}

bool workers_settled(const struct gatehouse *gatehouse)
{
	bool settled = true;
	for (unsigned i = 0; i < gatehouse->worker_count; i++)
		settled = settled && worker_settled(gatehouse->workers[i]);
	return settled;
}

/* The old snapshot keeps a reference of ours until it is the last one: workers never free a table. */
static bool adopt(struct gatehouse *gatehouse, struct routes *routes)
{
	struct generation *generation = malloc(sizeof *generation);
	if (!generation)
		return false;
	*generation = (struct generation){routes, gatehouse->generations};
	gatehouse->generations = generation;
	gatehouse->routes = routes;
	route_stats_follow(gatehouse->limits.route_stats, routes);
	log_configure(routes_config(routes)->logging.level, routes_config(routes)->logging.json);
	tls_store_end(gatehouse->store, true);
	return true;
}

bool publish_first(struct gatehouse *gatehouse, struct routes *routes)
{
	return adopt(gatehouse, routes);
}

/* Stays of snapshots and listeners that are no longer in use. */
void publish_housekeeping(struct gatehouse *gatehouse)
{
	for (struct generation **at = &gatehouse->generations; *at;) {
		struct generation *generation = *at;
		if (generation->routes == gatehouse->routes ||
			!routes_is_unused(generation->routes)) {
			at = &generation->next;
			continue;
		}
		*at = generation->next;
		routes_unref(generation->routes);
		free(generation);
	}
	bool settled = workers_settled(gatehouse);
	for (unsigned i = 0; settled && i < gatehouse->retired_count; i++)
		listener_shut(gatehouse->retired[i]);
}

bool publish_is_settled(const struct gatehouse *gatehouse)
{
	for (unsigned i = 0; i < gatehouse->retired_count; i++)
		if (gatehouse->retired[i]->fds)
			return false;
	return !gatehouse->generations || !gatehouse->generations->next;
}

unsigned publish_generations(const struct gatehouse *gatehouse)
{
	unsigned count = 0;
	for (struct generation *at = gatehouse->generations; at; at = at->next)
		count++;
	return count;
}

void publish_finish(struct gatehouse *gatehouse)
{
	health_checks_destroy(gatehouse->health_checks);
	crl_watch_destroy(gatehouse->crl_watch);
	while (gatehouse->generations) {
		struct generation *generation = gatehouse->generations;
		gatehouse->generations = generation->next;
		routes_unref(generation->routes);
		free(generation);
	}
	for (unsigned i = 0; i < gatehouse->listener_count; i++)
		listener_close(gatehouse->listeners[i]);
	for (unsigned i = 0; i < gatehouse->retired_count; i++)
		listener_close(gatehouse->retired[i]);
	free(gatehouse->listeners);
	free(gatehouse->retired);
}

static void log_findings(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count && i < TOLD_MAX; i++) {
		bool is_error = findings->items[i].severity == SEVERITY_ERROR;
		struct log_line line;
		log_begin(&line, is_error ? LOG_ERROR_LEVEL : LOG_WARNING_LEVEL, "configuration");
		log_text(&line, is_error ? "error" : "warning", findings->items[i].text);
		log_end(&line);
	}
	if (findings->count > TOLD_MAX)
		log_warning("%zu more findings; \"gatehouse check\" tells them all",
			findings->count - TOLD_MAX);
}

static void refuse(const struct gatehouse *gatehouse, const struct findings *findings)
{
	struct log_line line;
	log_findings(findings);
	log_begin(&line, LOG_ERROR_LEVEL, "reload refused, the running configuration stays");
	log_text(&line, "file", gatehouse->path);
	log_end(&line);
	admin_reload_refused(gatehouse->admin, findings);
}

struct telling {
	unsigned left;
};

static bool tell_change(void *owner, char what, const char *host)
{
	struct telling *telling = owner;
	struct log_line line;
	if (telling->left == 0)
		return false;
	telling->left--;
	log_begin(&line, LOG_INFO_LEVEL,
		what == '+'           ? "route added"
			: what == '-' ? "route removed"
				      : "route changed");
	log_text(&line, "route", host);
	log_end(&line);
	return true;
}

static void tell_outcome(const struct routes *before, const struct routes *after, uint64_t took_us)
{
	struct telling telling = {TOLD_MAX};
	struct routes_change change = routes_compare(before, after);
	struct routes_summary summary = routes_summary(after);
	struct log_line line;
	routes_each_change(before, after, tell_change, &telling);
	log_begin(&line, LOG_INFO_LEVEL, "reloaded");
	log_number(&line, "hosts", (long long)summary.hosts);
	log_number(&line, "added", (long long)change.added);
	log_number(&line, "removed", (long long)change.removed);
	log_number(&line, "changed", (long long)change.changed);
	log_number(&line, "certificates_read", summary.tls.parsed);
	log_number(&line, "certificates_renewed", summary.tls.renewed);
	log_duration(&line, "took_ms", took_us);
	log_end(&line);
}

static bool is_same(const struct routes *before, const struct routes *after)
{
	return routes_config(before)->digest == routes_config(after)->digest &&
		!routes_summary(after).tls.changed;
}

/* What a running process cannot change. */
static void warn_of_fixed(const struct config *before, const struct config *after)
{
	if (before->workers != after->workers)
		log_warning("\"workers\" changed: that takes a restart");
	if ((before->user == NULL) != (after->user == NULL) ||
		(before->user && strcmp(before->user, after->user) != 0))
		log_warning("\"user\" changed: that takes a restart");
	if (before->sandbox != after->sandbox)
		log_warning("\"sandbox\" changed: that takes a restart");
}

/* Listeners first are opened and then, when nothing can fail any more, put to use. */
static bool put_to_use(struct gatehouse *gatehouse, struct routes *routes, struct report *report)
{
	const struct config *config = routes_config(routes);
	if (!admin_prepare(gatehouse->admin, config, report))
		return false;
	if (listening_follow(gatehouse, config, report) && adopt(gatehouse, routes)) {
		admin_adopt(gatehouse->admin, config);
		return true;
	}
	admin_abandon(gatehouse->admin);
	return false;
}

void publish_health_checks(struct gatehouse *gatehouse)
{
	const struct routes *routes = gatehouse->routes;
	health_checks_begin(gatehouse->health_checks);
	for (size_t i = 0; i < routes_backend_count(routes); i++)
		health_checks_add(gatehouse->health_checks, routes_backend(routes, i));
	health_checks_end(gatehouse->health_checks);
}

static void publish_valid(struct gatehouse *gatehouse, const struct loaded *loaded)
{
	struct routes *before = gatehouse->routes, *routes = loaded->routes;
	struct findings findings = {0};
	struct report report;
	findings_report(&findings, &report);
	if (!put_to_use(gatehouse, routes, &report)) {
		refuse(gatehouse, &findings);
		tls_store_end(gatehouse->store, false);
		routes_unref(routes);
	} else {
		tell_workers(gatehouse, gatehouse->mode);
		publish_health_checks(gatehouse);
		crl_watch_follow(gatehouse->crl_watch, gatehouse->routes);
		warn_of_fixed(routes_config(before), routes_config(routes));
		tell_outcome(before, routes, loaded->took_us);
		admin_reloaded(gatehouse->admin, before, loaded);
	}
	findings_finish(&findings);
}

void publish(struct gatehouse *gatehouse, const struct loaded *loaded)
{
	if (!loaded->routes) {
		refuse(gatehouse, loaded->findings);
	} else if (is_same(gatehouse->routes, loaded->routes)) {
		log_info("reloaded: nothing had changed");
		admin_reload_unchanged(gatehouse->admin, loaded->took_us);
		tls_store_end(gatehouse->store, true);
		routes_unref(loaded->routes);
	} else {
		log_findings(loaded->findings);
		publish_valid(gatehouse, loaded);
	}
	systemd_notify("READY=1");
}
