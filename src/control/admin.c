#include "control/admin.h"

#include "control/commands.h"
#include "control/control_listener.h"
#include "control/drained.h"
#include "control/http_listeners.h"
#include "control/session_commands.h"
#include "control/state_feed.h"
#include "control/waiting.h"

#include <stdlib.h>

struct admin {
	struct drained_set drained;
	struct waiting waiting;
	struct commands commands;
	struct state_feed *feed;
	struct session_queries *queries;
	struct http_listeners *http;
	struct control_listener *control;
};

/* `err` is "out of memory" for those that do not say. */
static bool create_parts(struct admin *admin, struct daemon *daemon, struct err *err)
{
	if (!(admin->feed = state_feed_create(daemon, &admin->drained)) ||
		!(admin->queries = session_queries_create(daemon, err)))
		return false;
	waiting_init(&admin->waiting, admin->feed);
	admin->commands = (struct commands){.daemon = daemon,
		.feed = admin->feed,
		.drained = &admin->drained,
		.waiting = &admin->waiting,
		.queries = admin->queries};
	admin->http = http_listeners_create(state_feed_state(admin->feed));
	admin->control = control_listener_create(
		daemon_loop(daemon), daemon_path(daemon), commands_on_request, &admin->commands);
	return admin->http && admin->control;
}

/* The state is ready before anybody can read it, and callers are answered before the socket goes. */
static bool add_participants(struct admin *admin, struct daemon *daemon)
{
	const struct participant participants[] = {
		drained_participant(&admin->drained),
		state_feed_participant(admin->feed),
		waiting_participant(&admin->waiting),
		http_listeners_participant(admin->http),
		control_listener_participant(admin->control),
	};
	for (size_t i = 0; i < sizeof participants / sizeof *participants; i++)
		if (!daemon_add_participant(daemon, &participants[i]))
			return false;
	return true;
}

struct admin *admin_create(struct daemon *daemon, struct err *err)
{
	struct admin *admin = calloc(1, sizeof *admin);
	err_set(err, "out of memory");
	if (admin && create_parts(admin, daemon, err) && add_participants(admin, daemon))
		return admin;
	admin_destroy(admin);
	return NULL;
}

void admin_destroy(struct admin *admin)
{
	if (!admin)
		return;
	http_listeners_destroy(admin->http);
	control_listener_destroy(admin->control);
	session_queries_destroy(admin->queries);
	state_feed_destroy(admin->feed);
	drained_finish(&admin->drained);
	free(admin);
}
