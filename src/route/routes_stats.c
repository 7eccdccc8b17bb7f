#include "route/routes_stats.h"

#include "route/plaintext.h"
#include "route/routes_inside.h"

/* Under the lock: two workers may see the first connection of a route at once. */
static struct route_stats *bind_stats(
	struct route_stats_table *table, struct routes *routes, struct route *route)
{
	struct route_stats *stats =
		route_stats_get(table, route->host, route->alpn, route->tls != NULL);
	if (stats && !pointers_add(&routes->stats, stats)) {
		route_stats_release(stats);
		stats = NULL;
	}
	if (!stats)
		stats = route_stats_other(table);
	atomic_store(&route->stats, stats);
	return stats;
}

struct route_stats *routes_stats_of(
	struct route_stats_table *table, struct routes *routes, struct route *route)
{
	struct route_stats *stats = atomic_load(&route->stats);
	if (stats)
		return stats;
	pthread_mutex_lock(&routes->stats_lock);
	stats = atomic_load(&route->stats);
	if (!stats)
		stats = bind_stats(table, routes, route);
	pthread_mutex_unlock(&routes->stats_lock);
	return stats;
}

/* A forward is known by its target, which has a port and so is no host's name. */
static struct route *find_same(const struct routes *routes, const struct route_stats *stats)
{
	struct route keys = {.host = stats->host, .alpn = stats->alpn_id};
	for (size_t i = 0; i < routes->config->forward_count; i++)
		if (strcmp(routes->forwards[i].host, stats->host) == 0)
			return &routes->forwards[i];
	struct route *plaintext = routes_plaintext_named(routes, stats->host);
	return plaintext ? plaintext : routes_same(routes, &keys);
}

void routes_stats_follow(struct route_stats_table *table, struct routes *routes)
{
	struct route_stats *all[ROUTE_STATS_MAX];
	size_t count = route_stats_get_all(table, all);
	for (size_t i = 0; i < count; i++) {
		struct route *route = find_same(routes, all[i]);
		if (route)
			routes_stats_of(table, routes, route);
		route_stats_release(all[i]);
	}
}
