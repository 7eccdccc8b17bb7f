/*
 * What a relay keeps of a snapshot that has been replaced: a snapshot of its own, of its route alone, with the
 * time limits of the configuration. Without it each connection would keep the whole table of hosts that it
 * began with. Connections of the same route share it.
 */
#ifndef GATEHOUSE_ROUTE_KEPT_ROUTE_H
#define GATEHOUSE_ROUTE_KEPT_ROUTE_H

#include "route/routes.h"

struct route_stats_table;

/*
 * A reference to a snapshot whose only route, `*kept`, is a copy of `route`: its backend, contexts, slots and
 * statistics; without its ACL, which is not applied again. Names are not found in it. The copy has references of
 * its own. NULL: out of memory. Any thread; takes a lock.
 */
struct routes *routes_keep(struct route_stats_table *table, struct routes *routes,
	struct route *route, struct route **kept);

/* Is it such a snapshot already? */
bool routes_is_kept(const struct routes *routes);

#endif
