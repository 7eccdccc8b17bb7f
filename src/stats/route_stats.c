#include "stats/route_stats.h"

#include "route/routes_inside.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
	struct route_stats stats; /* first: a stats leads to its entry */
	struct route_stats_table *table;
	unsigned refs; /* snapshots that it is known to; under the lock */
	struct span alpn;
	char host[]; /* and behind it the id, and the id as text */
};

struct route_stats_table {
	pthread_mutex_t lock;
	struct entry *entries[ROUTE_STATS_MAX];
	size_t count;
	struct route_stats other, none;
};

struct route_stats_table *route_stats_table_create(void)
{
	struct route_stats_table *table = calloc(1, sizeof *table);
	if (!table)
		return NULL;
	pthread_mutex_init(&table->lock, NULL);
	table->other.host = "_other";
	table->none.host = "_none";
	table->other.alpn = table->none.alpn = "";
	return table;
}

void route_stats_table_destroy(struct route_stats_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free(table->entries[i]);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

static int compare(const char *host, struct span alpn, const struct entry *entry)
{
	int order = strcmp(host, entry->host);
	if (order == 0 && alpn.len != entry->alpn.len)
		order = alpn.len < entry->alpn.len ? -1 : 1;
	if (order == 0 && alpn.len > 0)
		order = memcmp(alpn.data, entry->alpn.data, alpn.len);
	return order;
}

/* Where in the sorted list it is, or would be. */
static size_t place_of(
	const struct route_stats_table *table, const struct route *route, bool *is_there)
{
	size_t from = 0, to = table->count;
	*is_there = false;
	while (from < to) {
		size_t middle = (from + to) / 2;
		int order = compare(route->host, route->alpn, table->entries[middle]);
		if (order == 0) {
			*is_there = true;
			return middle;
		}
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return from;
}

static struct entry *entry_create(struct route_stats_table *table, const struct route *route)
{
	char alpn[ALPN_TEXT_MAX];
	size_t host_size = strlen(route->host) + 1;
	alpn_text(route->alpn, alpn, sizeof alpn);
	size_t alpn_size = strlen(alpn) + 1;
	struct entry *entry = calloc(1, sizeof *entry + host_size + route->alpn.len + alpn_size);
	if (!entry)
		return NULL;
	char *id = memcpy(entry->host, route->host, host_size);
	id += host_size;
	if (route->alpn.len > 0)
		memcpy(id, route->alpn.data, route->alpn.len);
	entry->alpn = span_of(id, route->alpn.len);
	entry->table = table;
	entry->stats.host = entry->host;
	entry->stats.alpn = memcpy(id + route->alpn.len, alpn, alpn_size);
	return entry;
}

static struct entry *add(struct route_stats_table *table, const struct route *route, size_t at)
{
	if (table->count == ROUTE_STATS_MAX)
		return NULL;
	struct entry *entry = entry_create(table, route);
	if (!entry)
		return NULL;
	memmove(&table->entries[at + 1], &table->entries[at],
		(table->count - at) * sizeof *table->entries);
	table->entries[at] = entry;
	table->count++;
	return entry;
}

/* The snapshot knows it from now on. */
static struct route_stats *adopt(struct routes *routes, struct route *route, struct entry *entry)
{
	if (!pointers_add(&routes->table, entry))
		return NULL;
	entry->refs++;
	entry->stats.is_terminated = route->tls != NULL;
	atomic_store(&route->stats, &entry->stats);
	return &entry->stats;
}

struct route_stats *route_stats_of(
	struct route_stats_table *table, struct routes *routes, struct route *route)
{
	struct route_stats *stats = route ? atomic_load(&route->stats) : &table->none;
	bool is_there;
	if (stats)
		return stats;
	pthread_mutex_lock(&table->lock);
	stats = atomic_load(&route->stats);
	if (!stats) {
		size_t at = place_of(table, route, &is_there);
		struct entry *entry = is_there ? table->entries[at] : add(table, route, at);
		stats = entry ? adopt(routes, route, entry) : NULL;
		if (!stats)
			atomic_store(&route->stats, stats = &table->other);
	}
	pthread_mutex_unlock(&table->lock);
	return stats;
}

/* A forward is known by its target, which has a port and so is no host's name. */
static struct route *same_route(const struct routes *routes, const struct entry *entry)
{
	struct route keys = {.host = entry->host, .alpn = entry->alpn};
	for (size_t i = 0; i < routes->config->forward_count; i++)
		if (strcmp(routes->forwards[i].host, entry->host) == 0)
			return &routes->forwards[i];
	return routes_same(routes, &keys);
}

void route_stats_follow(struct route_stats_table *table, struct routes *routes)
{
	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < table->count; i++) {
		struct entry *entry = table->entries[i];
		struct route *route = same_route(routes, entry);
		if (route && !atomic_load(&route->stats))
			adopt(routes, route, entry);
	}
	pthread_mutex_unlock(&table->lock);
}

static void forget(struct route_stats_table *table, struct entry *entry)
{
	size_t at = 0;
	while (table->entries[at] != entry)
		at++;
	table->count--;
	memmove(&table->entries[at], &table->entries[at + 1],
		(table->count - at) * sizeof *table->entries);
	free(entry);
}

void route_stats_leave(struct routes *routes)
{
	if (routes->table.count == 0)
		return;
	struct entry *first = routes->table.items[0];
	struct route_stats_table *table = first->table;
	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < routes->table.count; i++) {
		struct entry *entry = routes->table.items[i];
		if (--entry->refs == 0)
			forget(table, entry);
	}
	pthread_mutex_unlock(&table->lock);
	free(routes->table.items);
}

static void copy_row(struct route_stats_row *row, const struct route_stats *stats)
{
	snprintf(row->host, sizeof row->host, "%s", stats->host);
	snprintf(row->alpn, sizeof row->alpn, "%s", stats->alpn);
	row->is_terminated = stats->is_terminated;
	row->connections = atomic_load_explicit(&stats->connections, memory_order_relaxed);
	row->errors = atomic_load_explicit(&stats->errors, memory_order_relaxed);
	row->up = atomic_load_explicit(&stats->up, memory_order_relaxed);
	row->down = atomic_load_explicit(&stats->down, memory_order_relaxed);
	row->active = atomic_load_explicit(&stats->active, memory_order_relaxed);
}

struct route_stats_row *route_stats_rows(struct route_stats_table *table, size_t *count)
{
	struct route_stats_row *rows = malloc((ROUTE_STATS_MAX + 2) * sizeof *rows);
	*count = 0;
	if (!rows)
		return NULL;
	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < table->count; i++)
		copy_row(&rows[(*count)++], &table->entries[i]->stats);
	pthread_mutex_unlock(&table->lock);
	copy_row(&rows[(*count)++], &table->other);
	copy_row(&rows[(*count)++], &table->none);
	return rows;
}
