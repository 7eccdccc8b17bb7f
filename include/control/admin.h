/*
 * The administrator's side of the running gatehouse: HTTP listeners, the control socket, and the
 * state that both tell. The main thread's; a snapshot decides what there is.
 */
#ifndef GATEHOUSE_CONTROL_ADMIN_H
#define GATEHOUSE_CONTROL_ADMIN_H

#include "daemon/reload.h"
#include "net/listener.h"

#include <sys/types.h>

struct gatehouse;
struct admin;

struct admin *admin_create(struct gatehouse *gatehouse);

/*
 * What a configuration asks for, beside what there is: opened now (false, with all errors in
 * `report`, when something cannot be), put to use or given up later.
 */
bool admin_prepare(struct admin *admin, const struct config *config, struct report *report);
void admin_abandon(struct admin *admin);
void admin_adopt(struct admin *admin, const struct config *config);

/* Is there anybody who looks at the counters? */
bool admin_is_wanted(const struct admin *admin);

/* A reload has ended. */
void admin_reloaded(struct admin *admin, const struct routes *before, const struct loaded *loaded);
void admin_reload_unchanged(struct admin *admin, uint64_t took_us);
void admin_reload_refused(struct admin *admin, const struct findings *findings);

/* All that listens for administrators. */
void admin_each_listener(
	struct admin *admin, void (*visit)(void *owner, struct listener *listener), void *owner);

/*
 * An upgrade has ended: `pid` serves, who has those listeners now; or (`error`) all
 * is as before.
 */
void admin_upgraded(struct admin *admin, pid_t pid);
void admin_upgrade_failed(struct admin *admin, const char *error);

/* The process drains, to end. */
void admin_stopping(struct admin *admin);

/* When the workers have ended; NULL is fine. */
void admin_destroy(struct admin *admin);

#endif
