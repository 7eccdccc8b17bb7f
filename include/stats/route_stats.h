/*
 * What each route has carried, over reloads, in a table by the host and the ALPN id of routes: the
 * first ROUTE_STATS_MAX that see a connection have an entry each, all others share one, and so do
 * connections without a route. A million hosts, or a flood of unknown names, so make a bounded
 * number of series; and which of them a connection counts in never changes while its route is
 * configured, so that no series runs backwards.
 *
 * Entries are counted: a snapshot holds those of its routes, and the last one that gives an entry
 * back removes it. Every worker adds to the same entries, a few times in a connection's life.
 */
#ifndef GATEHOUSE_STATS_ROUTE_STATS_H
#define GATEHOUSE_STATS_ROUTE_STATS_H

#include "base/bytes.h"

#include <stdatomic.h>

#define ROUTE_STATS_MAX 1000

struct route_stats {
	const char *host; /* "*.example.com" */
	const char *alpn; /* as text: "ssh", or "" */
	struct span alpn_id;
	bool is_terminated;
	atomic_ullong connections, errors; /* errors: refused for whatever reason */
	atomic_ullong up, down;            /* bytes */
	atomic_uint active;
};

struct route_stats_table;
struct route_stats_table *route_stats_table_create(void);
void route_stats_table_destroy(
	struct route_stats_table *table); /* when all entries are given back */

/*
 * A reference on the entry of a host and an ALPN id (empty: of the host itself), which is made if
 * there is none; NULL when the table is full, or memory is.
 */
struct route_stats *route_stats_get(
	struct route_stats_table *table, const char *host, struct span alpn_id, bool is_terminated);
void route_stats_release(struct route_stats *stats);

/* The shared ones, which live as long as the table. */
struct route_stats *route_stats_other(struct route_stats_table *table); /* without an entry */
struct route_stats *route_stats_none(struct route_stats_table *table);  /* without a route */

/* A reference on each entry that there is; how many. */
size_t route_stats_get_all(
	struct route_stats_table *table, struct route_stats *out[ROUTE_STATS_MAX]);

/* All that there are, copied; the last two are "_other" and "_none". The caller frees the rows. */
struct route_stats_row {
	char host[256], alpn[64]; /* an id that is longer is cut */
	bool is_terminated;
	unsigned long long connections, errors, up, down;
	unsigned active;
};
struct route_stats_row *route_stats_rows(struct route_stats_table *table, size_t *count);

#endif
