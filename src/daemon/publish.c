#include "daemon/publish.h"

#include "base/log.h"

#include <string.h>

/* Lines of one reload; the line that ends them has the numbers. */
#define LOGGED_MAX 20

static void log_findings(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count && i < LOGGED_MAX; i++) {
		bool is_error = findings->items[i].severity == SEVERITY_ERROR;
		struct log_line line;
		log_begin(&line, is_error ? LOG_ERROR_LEVEL : LOG_WARNING_LEVEL, "configuration");
		log_text(&line, is_error ? "error" : "warning", findings->items[i].text);
		log_end(&line);
	}
	if (findings->count > LOGGED_MAX)
		log_warning("%zu more findings; \"gatehouse check\" prints them all",
			findings->count - LOGGED_MAX);
}

static bool log_route_change(void *owner, char what, const char *host)
{
	unsigned *left = owner;
	struct log_line line;
	if (*left == 0)
		return false;
	(*left)--;
	log_begin(&line, LOG_INFO_LEVEL,
		what == '+'           ? "route added"
			: what == '-' ? "route removed"
				      : "route changed");
	log_text(&line, "route", host);
	log_end(&line);
	return true;
}

static void log_reloaded(const struct reload_event *event)
{
	unsigned left = LOGGED_MAX;
	const struct reload_change *change = &event->change;
	struct routes_summary summary = routes_summary(event->routes);
	struct log_line line;
	routes_each_change(event->before, event->routes, log_route_change, &left);
	log_begin(&line, LOG_INFO_LEVEL, "reloaded");
	log_number(&line, "hosts", (long long)summary.hosts);
	log_number(&line, "added", (long long)change->hosts.added);
	log_number(&line, "removed", (long long)change->hosts.removed);
	log_number(&line, "changed", (long long)change->hosts.changed);
	log_number(&line, "certificates_read", summary.tls.parsed);
	log_number(&line, "certificates_renewed", summary.tls.renewed);
	log_number(&line, "listeners_opened", change->listeners_opened);
	log_number(&line, "listeners_closed", change->listeners_closed);
	log_text(&line, "settings_changed", change->settings_changed ? "true" : "false");
	log_duration(&line, "took_ms", event->took_us);
	log_end(&line);
}

/* What a running process cannot change. */
static void log_fixed_settings(const struct config *before, const struct config *after)
{
	bool both = before->user && after->user;
	bool is_same_user =
		both ? strcmp(before->user, after->user) == 0 : before->user == after->user;
	if (before->workers != after->workers)
		log_warning("\"workers\" changed: this needs a restart");
	if (!is_same_user)
		log_warning("\"user\" changed: this needs a restart");
	if (before->sandbox != after->sandbox)
		log_warning("\"sandbox\" changed: this needs a restart");
}

static void log_refused(
	const struct publisher *publisher, const struct findings *findings, unsigned retry_seconds)
{
	struct log_line line;
	log_findings(findings);
	log_begin(&line, LOG_ERROR_LEVEL, "reload refused, the running configuration stays");
	log_text(&line, "file", publisher->path);
	if (retry_seconds > 0)
		log_text(&line, "retrying", "until it succeeds");
	log_end(&line);
}

/* A repetition of what the log has says nothing new. */
static void publish_refuse(
	const struct publisher *publisher, const struct findings *findings, bool is_passing)
{
	bool is_repeated = is_passing && reload_retry_is_under_way(publisher->retry);
	unsigned retry_seconds = reload_retry_plan(publisher->retry, is_passing);
	if (!is_repeated)
		log_refused(publisher, findings, retry_seconds);
	participants_reload_refused(publisher->participants, findings, retry_seconds);
}

static void publish_commit(const struct publisher *publisher, const struct reload_event *event)
{
	participants_commit(publisher->participants, event);
	tls_store_end(publisher->store, true);
}

static void publish_use(const struct publisher *publisher, const struct loaded *loaded)
{
	const struct routes *before = snapshots_current(publisher->snapshots);
	const struct config *config = routes_config(loaded->routes);
	struct reload_event event = {.before = before,
		.routes = loaded->routes,
		.counting = participants_need_counters(publisher->participants, config),
		.findings = loaded->findings,
		.change = reload_change_of(before, loaded->routes),
		.took_us = loaded->took_us};
	publish_commit(publisher, &event);
	log_fixed_settings(routes_config(before), config);
	log_reloaded(&event);
	participants_reloaded(publisher->participants, &event);
}

static void publish_valid(const struct publisher *publisher, const struct loaded *loaded)
{
	struct findings findings = {0};
	struct report report;
	findings_report(&findings, &report);
	if (!reload_retry_is_under_way(publisher->retry))
		log_findings(loaded->findings);
	if (participants_prepare(publisher->participants, routes_config(loaded->routes), &report)) {
		reload_retry_cancel(publisher->retry);
		publish_use(publisher, loaded);
	} else {
		publish_refuse(publisher, &findings, report_is_passing(&report));
		tls_store_end(publisher->store, false);
		routes_unref(loaded->routes);
	}
	findings_finish(&findings);
}

static bool is_same(const struct routes *before, const struct routes *after)
{
	return routes_config(before)->digest == routes_config(after)->digest &&
		!routes_summary(after).tls.changed;
}

void publish_first(const struct publisher *publisher, struct routes *routes)
{
	struct reload_event event = {.routes = routes,
		.counting =
			participants_need_counters(publisher->participants, routes_config(routes))};
	publish_commit(publisher, &event);
}

void publish(const struct publisher *publisher, const struct loaded *loaded)
{
	if (!loaded->routes) {
		publish_refuse(publisher, loaded->findings, loaded->is_passing);
	} else if (is_same(snapshots_current(publisher->snapshots), loaded->routes)) {
		reload_retry_cancel(publisher->retry);
		log_info("reloaded: nothing had changed");
		participants_reload_unchanged(publisher->participants, loaded->took_us);
		tls_store_end(publisher->store, true);
		routes_unref(loaded->routes);
	} else {
		publish_valid(publisher, loaded);
	}
}
