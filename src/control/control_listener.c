#include "control/control_listener.h"

#include "base/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct control_listener {
	struct ev_loop *loop;
	const char *config_path;
	control_request_fn *on_request;
	void *owner;
	struct control *current, *prepared; /* NULL: none; prepared: only one on a new path */
};

struct control_listener *control_listener_create(
	struct ev_loop *loop, const char *config_path, control_request_fn *on_request, void *owner)
{
	struct control_listener *listener = calloc(1, sizeof *listener);
	if (!listener)
		return NULL;
	*listener = (struct control_listener){
		.loop = loop, .config_path = config_path, .on_request = on_request, .owner = owner};
	return listener;
}

static bool is_current(const struct control_listener *listener, const char *path)
{
	return listener->current && path && strcmp(control_path(listener->current), path) == 0;
}

static bool socket_prepare(void *owner, const struct config *next, struct report *report)
{
	struct control_listener *listener = owner;
	const char *path = next->control_socket;
	struct err err;
	if (!path || is_current(listener, path))
		return true;
	listener->prepared = control_open(listener->loop, path, next->user, &err);
	if (listener->prepared)
		return true;
	report_error(
		report, "%s: control.socket: \"%s\": %s", listener->config_path, path, err.text);
	report_cause(report, &err);
	return false;
}

static void socket_rollback(void *owner)
{
	struct control_listener *listener = owner;
	control_close(listener->prepared, true);
	listener->prepared = NULL;
}

static void socket_commit(void *owner, const struct reload_event *event)
{
	struct control_listener *listener = owner;
	if (is_current(listener, routes_config(event->routes)->control_socket))
		return;
	control_close(listener->current, false);
	listener->current = listener->prepared;
	listener->prepared = NULL;
	if (listener->current)
		control_start(listener->current, listener->on_request, listener->owner);
}

static void socket_each(void *owner, listener_visit_fn *visit, void *visitor)
{
	const struct control_listener *listener = owner;
	if (listener->current)
		visit(visitor, control_socket(listener->current));
}

static bool socket_needs_counters(const void *owner, const struct config *config)
{
	(void)owner;
	return config->control_socket != NULL;
}

/*
 * The new process takes the calls from now on. The sessions of this one are reached at a path with
 * its process id behind, where `gatehouse ctl` looks for them.
 */
static void socket_on_upgraded(void *owner, pid_t pid)
{
	struct control_listener *listener = owner;
	char path[PATH_MAX];
	struct err err;
	(void)pid;
	if (!listener->current)
		return;
	snprintf(path, sizeof path, "%s.%d", control_path(listener->current), (int)getpid());
	control_close(listener->current, false);
	listener->current = control_open(listener->loop, path, NULL, &err);
	if (listener->current)
		control_start(listener->current, listener->on_request, listener->owner);
	else
		log_warning(
			"%s: %s; \"gatehouse ctl\" does not reach this process", path, err.text);
}

struct participant control_listener_participant(struct control_listener *listener)
{
	return (struct participant){.name = "control socket",
		.owner = listener,
		.prepare = socket_prepare,
		.commit = socket_commit,
		.rollback = socket_rollback,
		.each_listener = socket_each,
		.needs_counters = socket_needs_counters,
		.on_upgraded = socket_on_upgraded};
}

void control_listener_destroy(struct control_listener *listener)
{
	if (!listener)
		return;
	socket_rollback(listener);
	control_close(listener->current, true);
	free(listener);
}
