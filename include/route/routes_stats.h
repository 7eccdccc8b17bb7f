/*
 * The stats of the routes of a snapshot: looked up when a route sees its first connection, held
 * until the snapshot is freed.
 */
#ifndef GATEHOUSE_ROUTE_ROUTES_STATS_H
#define GATEHOUSE_ROUTE_ROUTES_STATS_H

#include "route/routes.h"
#include "stats/route_stats.h"

/*
 * Valid as long as the snapshot. Never NULL: "_other" where the table has no entry for the route.
 */
struct route_stats *routes_stats_of(
	struct route_stats_table *table, struct routes *routes, struct route *route);

/* Before a snapshot is published: the routes that were there before keep what they have counted. */
void routes_stats_follow(struct route_stats_table *table, struct routes *routes);

#endif
