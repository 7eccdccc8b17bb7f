/*
 * The snapshots that were published: the one in use, and older ones until their last session has
 * ended. Each keeps a reference, so that the main thread frees a table and never a worker.
 */
#ifndef GATEHOUSE_DAEMON_SNAPSHOTS_H
#define GATEHOUSE_DAEMON_SNAPSHOTS_H

#include "daemon/participant.h"
#include "route/routes.h"

struct snapshots;

struct snapshots *snapshots_create(void); /* NULL: out of memory */

/* A commit takes the reference on event->routes over. */
struct participant snapshots_participant(struct snapshots *snapshots);

struct routes *snapshots_current(const struct snapshots *snapshots); /* lent; NULL: none yet */
unsigned snapshots_count(const struct snapshots *snapshots);         /* those that live */

/* Frees what is no longer in use. True: nothing is left but the current one. */
bool snapshots_tidy(struct snapshots *snapshots);

void snapshots_destroy(struct snapshots *snapshots); /* NULL is fine; frees all */

#endif
