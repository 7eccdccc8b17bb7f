/*
 * What there is to know of the running process, between the main thread, which tells it, and those
 * who answer administrators. The counters are the workers' own and read as they stand; all else is
 * copied under a lock that is held for moments.
 */
#ifndef GATEHOUSE_ADMIN_FACTS_H
#define GATEHOUSE_ADMIN_FACTS_H

#include "stats/counters.h"
#include "stats/route_stats.h"

#include <time.h>

enum reload_outcome {
	RELOAD_NEVER, /* the configuration of the start */
	RELOAD_DONE,
	RELOAD_UNCHANGED,
	RELOAD_REFUSED,
};

struct reload_facts {
	unsigned long long done, failed; /* so far; unchanged ones are done */
	time_t at, succeeded_at;         /* the last; the last that was not refused, or the start */
	uint64_t took_us;                /* the last that was not refused */
	enum reload_outcome outcome;
	size_t added, removed, changed;
	char error[512]; /* the first, where it was refused */
};

/* What the main thread tells. */
struct facts_told {
	struct routes *routes; /* lent to facts_tell, a reference out of facts_look */
	struct reload_facts reload;
	bool is_stopping;   /* SIGTERM: draining to the end */
	bool is_drained;    /* "drain all" */
	char drained[1024]; /* hosts and servers, with ", " between */
	char listens[512];  /* addresses, with "," between */
	unsigned listeners, generations;
	uint64_t beat_us; /* the main loop's last sign of life */
};

/* All workers' counters, added up. */
struct totals {
	unsigned long long connections, active, up, down, refused;
	unsigned long long acl_admitted, acl_denied, dial_errors;
	unsigned long long endings[ENDINGS];
	unsigned long long pipes, turn_us; /* turn: the longest of any */
};

/* How things were, every HISTORY_SECONDS, for the plots of one who just opened the page. */
#define HISTORY_SECONDS 2
#define HISTORY_MOST    150
struct moment {
	int64_t at_ms; /* since 1970 */
	unsigned long long active, connections, up, down, refused;
};

/* Never changes; `counters` are `workers` many. */
struct facts_setup {
	const char *version, *path; /* of the configuration */
	const struct counters **counters;
	unsigned workers;
	struct tallies *tallies;
};

struct facts;
struct facts *facts_create(void);
void facts_destroy(struct facts *facts); /* when nobody looks any more */

/* Once, before anybody looks. */
void facts_set_up(struct facts *facts, const struct facts_setup *setup);
const struct facts_setup *facts_of_setup(const struct facts *facts);
time_t facts_started(const struct facts *facts);

void facts_tell(struct facts *facts, const struct facts_told *told);

/* A copy, with a reference on the snapshot; to be let go with routes_unref. */
void facts_look(struct facts *facts, struct facts_told *out);

void facts_totals(const struct facts *facts, struct totals *out);

/* One more moment of the history; and all that there are, oldest first. */
void facts_remember(struct facts *facts);
size_t facts_history(struct facts *facts, struct moment out[HISTORY_MOST]);

/* Workers that have given no sign of life for that long (of those that are asked to). */
unsigned facts_stuck(const struct facts *facts, uint64_t seconds);

/* The newest refusals of all workers, newest first; at most `most`. */
size_t facts_refusals(const struct facts *facts, struct refusal *out, size_t most);

#endif
