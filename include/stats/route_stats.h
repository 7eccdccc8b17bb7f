/*
 * What each route has carried, over reloads: the first ROUTE_STATS_MAX routes that see a connection
 * have a stats each, all others share one, and so do connections that found no route. A million
 * hosts, or a flood of unknown names, so make a bounded number of series; and which of them a
 * connection counts in never changes while its route is configured, so that no series runs
 * backwards.
 *
 * Every worker adds to the same stats, a few times in a connection's life.
 */
#ifndef GATEHOUSE_STATS_ROUTE_STATS_H
#define GATEHOUSE_STATS_ROUTE_STATS_H

#include "route/routes.h"

#define ROUTE_STATS_MAX 1000

struct route_stats {
	const char *host, *alpn; /* "*.example.com" and "ssh", or "" */
	bool is_terminated;
	atomic_ullong connections, errors, up,
		down; /* errors: refused for whatever reason; bytes */
	atomic_uint active;
};

struct route_stats_table;
struct route_stats_table *route_stats_table_create(void);
void route_stats_table_destroy(struct route_stats_table *table); /* after the last snapshot */

/* The stats of a route (NULL: of no route). Lent for the life of the snapshot. Never NULL. */
struct route_stats *route_stats_of(
	struct route_stats_table *table, struct routes *routes, struct route *route);

/* A snapshot takes over from the one before: the routes that stay keep what they have counted. */
void route_stats_follow(struct route_stats_table *table, struct routes *routes);

/* What a snapshot held of them, when it goes (routes.c). */
void route_stats_leave(struct routes *routes);

/* All that there are, copied; the last two are "_other" and "_none". The caller frees the rows. */
struct route_stats_row {
	char host[256], alpn[64]; /* an id that is longer is cut */
	bool is_terminated;
	unsigned long long connections, errors, up, down;
	unsigned active;
};
struct route_stats_row *route_stats_rows(struct route_stats_table *table, size_t *count);

#endif
