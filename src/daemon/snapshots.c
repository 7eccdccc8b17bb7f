#include "daemon/snapshots.h"

#include <stdlib.h>

struct generation {
	struct routes *routes;
	struct generation *next;
};

struct snapshots {
	struct generation *newest;
	struct generation *prepared; /* for the next commit */
};

struct snapshots *snapshots_create(void)
{
	return calloc(1, sizeof(struct snapshots));
}

static bool snapshots_prepare(void *owner, const struct config *next, struct report *report)
{
	struct snapshots *snapshots = owner;
	(void)next;
	snapshots->prepared = malloc(sizeof *snapshots->prepared);
	if (!snapshots->prepared)
		report_no_memory(report, NULL);
	return snapshots->prepared != NULL;
}

static void snapshots_commit(void *owner, const struct reload_event *event)
{
	struct snapshots *snapshots = owner;
	struct generation *generation = snapshots->prepared;
	*generation = (struct generation){event->routes, snapshots->newest};
	snapshots->newest = generation;
	snapshots->prepared = NULL;
}

static void snapshots_rollback(void *owner)
{
	struct snapshots *snapshots = owner;
	free(snapshots->prepared);
	snapshots->prepared = NULL;
}

struct participant snapshots_participant(struct snapshots *snapshots)
{
	return (struct participant){.name = "snapshots",
		.owner = snapshots,
		.while_draining = true,
		.prepare = snapshots_prepare,
		.commit = snapshots_commit,
		.rollback = snapshots_rollback};
}

struct routes *snapshots_current(const struct snapshots *snapshots)
{
	return snapshots->newest ? snapshots->newest->routes : NULL;
}

unsigned snapshots_count(const struct snapshots *snapshots)
{
	unsigned count = 0;
	for (struct generation *at = snapshots->newest; at; at = at->next)
		count++;
	return count;
}

bool snapshots_tidy(struct snapshots *snapshots)
{
	struct generation **at = snapshots->newest ? &snapshots->newest->next : &snapshots->newest;
	while (*at) {
		struct generation *generation = *at;
		if (!routes_is_unused(generation->routes)) {
			at = &generation->next;
			continue;
		}
		*at = generation->next;
		routes_unref(generation->routes);
		free(generation);
	}
	return !snapshots->newest || !snapshots->newest->next;
}

void snapshots_destroy(struct snapshots *snapshots)
{
	if (!snapshots)
		return;
	while (snapshots->newest) {
		struct generation *generation = snapshots->newest;
		snapshots->newest = generation->next;
		routes_unref(generation->routes);
		free(generation);
	}
	free(snapshots->prepared);
	free(snapshots);
}
