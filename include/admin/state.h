/*
 * The state of the running process, between the main thread, which publishes it, and the threads
 * that answer administrators. The counters are the workers' own and read as they stand; all else is
 * copied under a lock that is held for moments.
 */
#ifndef GATEHOUSE_ADMIN_STATE_H
#define GATEHOUSE_ADMIN_STATE_H

#include "route/routes.h"
#include "stats/counters.h"
#include "stats/route_stats.h"

#include <time.h>

enum reload_outcome {
	RELOAD_NEVER, /* the configuration of the start */
	RELOAD_DONE,
	RELOAD_UNCHANGED,
	RELOAD_REFUSED,
};

/* What the last reload changed; all zero after one that was refused or changed nothing. */
struct reload_difference {
	size_t added, removed, changed; /* hosts */
	unsigned listeners_opened, listeners_closed;
	bool settings_changed; /* something besides those */
};

struct reload_facts {
	unsigned long long done, failed; /* so far; unchanged ones are done */
	time_t at, succeeded_at;         /* the last; the last that was not refused, or the start */
	uint64_t took_us;                /* the last that was not refused */
	enum reload_outcome outcome;
	struct reload_difference change;
	char error[512];        /* the first, where it was refused */
	unsigned retry_seconds; /* where it was refused: when it is tried again; 0: it is not */
};

/* What the main thread publishes. */
struct published_state {
	struct routes *routes; /* lent to state_publish, a reference out of state_read */
	struct reload_facts reload;
	bool is_stopping;   /* SIGTERM: draining to the end */
	bool is_drained;    /* "drain all" */
	char drained[1024]; /* hosts and servers, with ", " between */
	char listens[512];  /* addresses, with "," between */
	unsigned listeners, generations;
	uint64_t tick_us; /* the main loop's last sign of life */
};

/* All workers' counters, added up. */
struct totals {
	unsigned long long connections, active, up, down, refused;
	unsigned long long acl_admitted, acl_denied, dial_errors;
	unsigned long long deaf; /* listening sockets that no worker accepts from */
	unsigned long long end_reasons[END_REASONS];
	unsigned long long prefaces[PREFACES_MAX];
	unsigned long long pipes, held, handshakes_waiting, turn_us; /* turn: the longest of any */
};

/* One sample every HISTORY_SECONDS, for the plots of a page that was just opened. */
#define HISTORY_SECONDS 2
#define HISTORY_MAX     150
struct moment {
	int64_t at_ms; /* since 1970 */
	unsigned long long active, connections, up, down, refused;
};

/* Never changes; `counters` are `workers` many. */
struct state_setup {
	const char *version, *path; /* of the configuration */
	const struct counters **counters;
	unsigned workers;
	struct route_stats_table *table;
};

struct state;
struct state *state_create(void);
void state_destroy(struct state *state); /* when no thread reads it any more */

/* Once, before any thread reads it. */
void state_set_up(struct state *state, const struct state_setup *setup);
const struct state_setup *state_of_setup(const struct state *state);
const char *state_host_name(const struct state *state); /* the machine's, at the start; "" */
time_t state_started(const struct state *state);        /* the date of the start */
uint64_t state_uptime(const struct state *state); /* seconds since, whatever the clock was set to */

void state_publish(struct state *state, const struct published_state *published);

/* A copy, with a reference on the snapshot; to be released with routes_unref. */
void state_read(struct state *state, struct published_state *out);

void state_totals(const struct state *state, struct totals *out);

/* One more moment of the history; and all that there are, oldest first. */
void state_remember(struct state *state);
size_t state_history(struct state *state, struct moment out[HISTORY_MAX]);

/* Workers that have given no sign of life for that long (of those that count every second). */
unsigned state_stuck(const struct state *state, uint64_t seconds);

/* The newest refusals of all workers, newest first; at most `max`. */
size_t state_refusals(const struct state *state, struct refusal *out, size_t max);

#endif
