/*
 * Loading the configuration again, off the event loops: a thread of its own builds the new snapshot
 * beside the old one and validates all of it; the main loop is told when it is done. A failure
 * changes nothing. Asked again while it loads, it loads once more afterwards.
 */
#ifndef GATEHOUSE_DAEMON_RELOAD_H
#define GATEHOUSE_DAEMON_RELOAD_H

#include "route/routes.h"

#include <ev.h>

struct reload;

/* Findings of a load, each a line; handed out in their order. */
struct finding {
	enum severity severity;
	const char *text;
};
struct findings {
	struct arena arena;
	struct finding *items;
	size_t count, room;
};
void findings_report(struct findings *findings, struct report *report); /* makes a report of it */
void findings_finish(struct findings *findings);

/* `routes` is a reference for the callee, or NULL. `paths` and `findings` are lent. */
struct loaded {
	struct routes *routes;
	const struct path_set *paths;
	const struct findings *findings;
	uint64_t took_us;
};
typedef void reload_done_fn(void *owner, const struct loaded *loaded);

struct reload *reload_create(struct ev_loop *loop, const struct routes_setup *setup,
	reload_done_fn *on_done, void *owner);
void reload_start(struct reload *reload);
bool reload_is_running(const struct reload *reload);

/* Waits for a load under way, and forgets it. */
void reload_destroy(struct reload *reload);

#endif
