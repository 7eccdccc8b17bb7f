/*
 * Loading the configuration again, off the event loops: a thread of its own builds the new snapshot
 * beside the old one and validates all of it; the main loop is notified when it is done. A failure
 * changes nothing. A start while it loads makes it load once more afterwards. Without a thread the
 * failure is delivered within reload_start.
 */
#ifndef GATEHOUSE_DAEMON_LOAD_RELOAD_H
#define GATEHOUSE_DAEMON_LOAD_RELOAD_H

#include "daemon/load/findings.h"
#include "route/routes.h"

#include <ev.h>

struct reload;

/* `routes` is a reference for the callee, or NULL. `paths` and `findings` are lent. */
struct loaded {
	struct routes *routes;
	const struct path_set *paths;
	const struct findings *findings;
	bool is_passing; /* where there are no routes: what caused that passes (base/report.h) */
	uint64_t took_us;
};
typedef void reload_done_fn(void *owner, const struct loaded *loaded);

/* NULL: out of memory. */
struct reload *reload_create(struct ev_loop *loop, const struct routes_setup *setup,
	reload_done_fn *on_done, void *owner, struct err *err);
void reload_start(struct reload *reload);
bool reload_is_running(const struct reload *reload);

/* Waits for a load under way, and discards it. NULL is fine. */
void reload_destroy(struct reload *reload);

#endif
