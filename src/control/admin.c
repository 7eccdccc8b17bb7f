#include "control/admin_inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The state. */

static void write_listens(const struct gatehouse *gatehouse, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < gatehouse->listener_count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "",
			gatehouse->listeners[i]->text);
}

void admin_tell(struct admin *admin)
{
	const struct gatehouse *gatehouse = admin->gatehouse;
	struct published_state *told = &admin->told;
	told->routes = gatehouse->routes;
	told->is_drained = atomic_load(&gatehouse->limits.drained);
	told->listeners = gatehouse->listener_count;
	told->generations = publish_generations(gatehouse);
	told->tick_us = clock_now_us();
	write_listens(gatehouse, told->listens, sizeof told->listens);
	drained_text(admin, told->drained, sizeof told->drained);
	state_publish(admin->state, told);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct admin *admin = timer->data;
	(void)loop, (void)events;
	admin_tell(admin);
	state_remember(admin->state);
}

static bool set_up_state(struct admin *admin)
{
	const struct gatehouse *gatehouse = admin->gatehouse;
	struct state_setup setup = {.version = GATEHOUSE_VERSION,
		.path = gatehouse->path,
		.workers = gatehouse->worker_count,
		.table = gatehouse->limits.route_stats};
	if (state_of_setup(admin->state)->counters)
		return true;
	setup.counters = malloc(gatehouse->worker_count * sizeof *setup.counters);
	if (!setup.counters)
		return false;
	for (unsigned i = 0; i < gatehouse->worker_count; i++)
		setup.counters[i] = worker_counters(gatehouse->workers[i]);
	state_set_up(admin->state, &setup);
	return true;
}

/* What listens. */

struct wanted {
	const char *listen, *where;
	unsigned parts;
};

static unsigned what_is_wanted(const struct config *config, struct wanted out[2])
{
	unsigned count = 0;
	if (config->health.enabled)
		out[count++] =
			(struct wanted){config->health.listen, config->health.where, HTTP_HEALTH};
	if (!config->metrics.enabled)
		return count;
	if (count > 0 && strcmp(out[0].listen, config->metrics.listen) == 0)
		out[0].parts |= HTTP_METRICS;
	else
		out[count++] = (struct wanted){
			config->metrics.listen, config->metrics.where, HTTP_METRICS};
	return count;
}

static struct http *find(struct http *const servers[2], const char *listen)
{
	for (unsigned i = 0; i < 2; i++)
		if (servers[i] && strcmp(http_listens_on(servers[i]), listen) == 0)
			return servers[i];
	return NULL;
}

static void open_http(struct admin *admin, const struct config *config, struct report *report)
{
	struct wanted wanted[2];
	unsigned count = what_is_wanted(config, wanted);
	for (unsigned i = 0; i < count; i++) {
		struct err err;
		if (find(admin->servers, wanted[i].listen))
			continue;
		admin->opened[i] = http_open(wanted[i].listen, &err);
		if (!admin->opened[i])
			report_error(report, "%s: \"%s\": %s", wanted[i].where, wanted[i].listen,
				err.text);
	}
}

/* Started as root, we are somebody else by the time that anybody asks. */
static uid_t user_to_be(const struct config *config)
{
	struct passwd *entry = config->user && geteuid() == 0 ? getpwnam(config->user) : NULL;
	return entry ? entry->pw_uid : geteuid();
}

static bool is_served_on(const struct control *control, const char *path)
{
	return control && path && strcmp(control_path(control), path) == 0;
}

static void open_control(struct admin *admin, const struct config *config, struct report *report)
{
	const char *path = config->control_socket;
	struct err err;
	if (!path || is_served_on(admin->control, path))
		return;
	admin->opened_control =
		control_open(admin->gatehouse->loop, path, user_to_be(config), &err);
	if (!admin->opened_control)
		report_error(report, "%s: control.socket: \"%s\": %s", admin->gatehouse->path, path,
			err.text);
}

bool admin_prepare(struct admin *admin, const struct config *config, struct report *report)
{
	unsigned errors = report->errors;
	open_http(admin, config, report);
	open_control(admin, config, report);
	if (report->errors == errors)
		return true;
	admin_abandon(admin);
	return false;
}

void admin_abandon(struct admin *admin)
{
	for (unsigned i = 0; i < 2; i++) {
		http_close(admin->opened[i]);
		admin->opened[i] = NULL;
	}
	control_close(admin->opened_control, true);
	admin->opened_control = NULL;
}

/* Each place of `servers` gets what is wanted there; what has no place any more is closed. */
static void adopt_http(struct admin *admin, const struct config *config)
{
	struct wanted wanted[2];
	unsigned count = what_is_wanted(config, wanted);
	struct http *before[2] = {admin->servers[0], admin->servers[1]};
	for (unsigned i = 0; i < 2; i++) {
		struct err err;
		struct http *http = i < count ? find(before, wanted[i].listen) : NULL;
		admin->servers[i] = http ? http : admin->opened[i];
		admin->opened[i] = NULL;
		if (admin->servers[i] &&
			!http_serve(admin->servers[i], wanted[i].parts, admin->state, &err))
			log_error("%s: %s", wanted[i].listen, err.text);
	}
	for (unsigned i = 0; i < 2; i++)
		if (before[i] && before[i] != admin->servers[0] && before[i] != admin->servers[1])
			http_close(before[i]);
}

static void adopt_control(struct admin *admin, const struct config *config)
{
	if (is_served_on(admin->control, config->control_socket))
		return;
	control_close(admin->control, false);
	admin->control = admin->opened_control;
	admin->opened_control = NULL;
	if (admin->control)
		control_start(admin->control, admin_on_request, admin);
}

static void start_tick(struct admin *admin)
{
	state_remember(admin->state);
	ev_timer_again(admin->gatehouse->loop, &admin->tick);
}

void admin_adopt(struct admin *admin, const struct config *config)
{
	if (!set_up_state(admin)) {
		log_error("out of memory: no health, metrics, or control");
		return;
	}
	drained_apply(admin, admin->gatehouse->routes);
	admin_tell(admin);
	adopt_http(admin, config);
	adopt_control(admin, config);
	if (!admin_is_wanted(admin))
		ev_timer_stop(admin->gatehouse->loop, &admin->tick);
	else if (!ev_is_active(&admin->tick))
		start_tick(admin);
}

bool admin_is_wanted(const struct admin *admin)
{
	return admin->servers[0] || admin->servers[1] || admin->control;
}

/* Reloads. */

static void note_success(struct admin *admin, enum reload_outcome outcome, uint64_t took_us)
{
	struct reload_facts *reload = &admin->told.reload;
	reload->done++;
	reload->at = reload->succeeded_at = time(NULL);
	reload->took_us = took_us;
	reload->outcome = outcome;
	reload->added = reload->removed = reload->changed = 0;
	reload->error[0] = '\0';
}

void admin_reloaded(struct admin *admin, const struct routes *before, const struct loaded *loaded)
{
	struct routes_change change = routes_compare(before, loaded->routes);
	note_success(admin, RELOAD_DONE, loaded->took_us);
	admin->told.reload.added = change.added;
	admin->told.reload.removed = change.removed;
	admin->told.reload.changed = change.changed;
	admin_tell(admin);
	admin_tell_reload(admin, before, loaded->routes, loaded->findings);
}

void admin_reload_unchanged(struct admin *admin, uint64_t took_us)
{
	note_success(admin, RELOAD_UNCHANGED, took_us);
	admin_tell(admin);
	admin_tell_reload(admin, NULL, NULL, NULL);
}

static const char *first_error(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].severity == SEVERITY_ERROR)
			return findings->items[i].text;
	return "";
}

void admin_reload_refused(struct admin *admin, const struct findings *findings)
{
	struct reload_facts *reload = &admin->told.reload;
	reload->failed++;
	reload->at = time(NULL);
	reload->outcome = RELOAD_REFUSED;
	snprintf(reload->error, sizeof reload->error, "%s", first_error(findings));
	admin_tell(admin);
	admin_tell_reload(admin, NULL, NULL, findings);
}

/* Upgrades. */

void admin_each_listener(
	struct admin *admin, void (*visit)(void *owner, struct listener *listener), void *owner)
{
	for (unsigned i = 0; i < 2; i++)
		if (admin->servers[i])
			visit(owner, http_listener(admin->servers[i]));
	if (admin->control)
		visit(owner, control_listener(admin->control));
}

void admin_upgraded(struct admin *admin, pid_t pid)
{
	admin_tell_upgrade(admin, pid, NULL);
	for (unsigned i = 0; i < 2; i++)
		if (admin->servers[i])
			http_stop_listening(admin->servers[i]);
	control_close(admin->control, false);
	admin->control = NULL;
}

void admin_upgrade_failed(struct admin *admin, const char *error)
{
	admin_tell_upgrade(admin, 0, error);
}

void admin_stopping(struct admin *admin)
{
	admin->told.is_stopping = true;
	admin_tell(admin);
}

/* From beginning to end. */

struct admin *admin_create(struct gatehouse *gatehouse)
{
	struct admin *admin = calloc(1, sizeof *admin);
	if (!admin || !(admin->state = state_create())) {
		free(admin);
		return NULL;
	}
	admin->gatehouse = gatehouse;
	admin->told.reload.at = admin->told.reload.succeeded_at = time(NULL);
	ev_timer_init(&admin->tick, on_tick, 0., HISTORY_SECONDS);
	admin->tick.data = admin;
	sessions_init(admin);
	return admin;
}

void admin_destroy(struct admin *admin)
{
	if (!admin)
		return;
	admin_abandon(admin);
	for (unsigned i = 0; i < 2; i++)
		http_close(admin->servers[i]);
	control_close(admin->control, true);
	ev_timer_stop(admin->gatehouse->loop, &admin->tick);
	sessions_finish(admin);
	drained_free(admin);
	state_destroy(admin->state);
	free(admin);
}
