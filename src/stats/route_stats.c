#include "stats/route_stats.h"

#include "route/routes_build.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
	struct tally tally; /* first: a tally leads to its entry */
	struct tallies *tallies;
	unsigned refs; /* snapshots that it is known to; under the lock */
	struct span alpn;
	char host[]; /* and behind it the id, and the id as text */
};

struct tallies {
	pthread_mutex_t lock;
	struct entry *entries[TALLIES_MOST];
	size_t count;
	struct tally other, none;
};

struct tallies *tallies_create(void)
{
	struct tallies *tallies = calloc(1, sizeof *tallies);
	if (!tallies)
		return NULL;
	pthread_mutex_init(&tallies->lock, NULL);
	tallies->other.host = "_other";
	tallies->none.host = "_none";
	tallies->other.alpn = tallies->none.alpn = "";
	return tallies;
}

void tallies_destroy(struct tallies *tallies)
{
	if (!tallies)
		return;
	for (size_t i = 0; i < tallies->count; i++)
		free(tallies->entries[i]);
	pthread_mutex_destroy(&tallies->lock);
	free(tallies);
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
static size_t place_of(const struct tallies *tallies, const struct route *route, bool *is_there)
{
	size_t from = 0, to = tallies->count;
	*is_there = false;
	while (from < to) {
		size_t middle = (from + to) / 2;
		int order = compare(route->host, route->alpn, tallies->entries[middle]);
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

static struct entry *entry_create(struct tallies *tallies, const struct route *route)
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
	entry->tallies = tallies;
	entry->tally.host = entry->host;
	entry->tally.alpn = memcpy(id + route->alpn.len, alpn, alpn_size);
	return entry;
}

static struct entry *add(struct tallies *tallies, const struct route *route, size_t at)
{
	if (tallies->count == TALLIES_MOST)
		return NULL;
	struct entry *entry = entry_create(tallies, route);
	if (!entry)
		return NULL;
	memmove(&tallies->entries[at + 1], &tallies->entries[at],
		(tallies->count - at) * sizeof *tallies->entries);
	tallies->entries[at] = entry;
	tallies->count++;
	return entry;
}

/* The snapshot knows it from now on. */
static struct tally *adopt(struct routes *routes, struct route *route, struct entry *entry)
{
	if (!pointers_add(&routes->tallies, entry))
		return NULL;
	entry->refs++;
	entry->tally.is_terminated = route->tls != NULL;
	atomic_store(&route->tally, &entry->tally);
	return &entry->tally;
}

struct tally *tallies_of(struct tallies *tallies, struct routes *routes, struct route *route)
{
	struct tally *tally = route ? atomic_load(&route->tally) : &tallies->none;
	bool is_there;
	if (tally)
		return tally;
	pthread_mutex_lock(&tallies->lock);
	tally = atomic_load(&route->tally);
	if (!tally) {
		size_t at = place_of(tallies, route, &is_there);
		struct entry *entry = is_there ? tallies->entries[at] : add(tallies, route, at);
		tally = entry ? adopt(routes, route, entry) : NULL;
		if (!tally)
			atomic_store(&route->tally, tally = &tallies->other);
	}
	pthread_mutex_unlock(&tallies->lock);
	return tally;
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

void tallies_follow(struct tallies *tallies, struct routes *routes)
{
	pthread_mutex_lock(&tallies->lock);
	for (size_t i = 0; i < tallies->count; i++) {
		struct entry *entry = tallies->entries[i];
		struct route *route = same_route(routes, entry);
		if (route && !atomic_load(&route->tally))
			adopt(routes, route, entry);
	}
	pthread_mutex_unlock(&tallies->lock);
}

static void forget(struct tallies *tallies, struct entry *entry)
{
	size_t at = 0;
	while (tallies->entries[at] != entry)
		at++;
	tallies->count--;
	memmove(&tallies->entries[at], &tallies->entries[at + 1],
		(tallies->count - at) * sizeof *tallies->entries);
	free(entry);
}

void tallies_leave(struct routes *routes)
{
	if (routes->tallies.count == 0)
		return;
	struct entry *first = routes->tallies.items[0];
	struct tallies *tallies = first->tallies;
	pthread_mutex_lock(&tallies->lock);
	for (size_t i = 0; i < routes->tallies.count; i++) {
		struct entry *entry = routes->tallies.items[i];
		if (--entry->refs == 0)
			forget(tallies, entry);
	}
	pthread_mutex_unlock(&tallies->lock);
	free(routes->tallies.items);
}

static void copy_row(struct tally_row *row, const struct tally *tally)
{
	snprintf(row->host, sizeof row->host, "%s", tally->host);
	snprintf(row->alpn, sizeof row->alpn, "%s", tally->alpn);
	row->is_terminated = tally->is_terminated;
	row->connections = atomic_load_explicit(&tally->connections, memory_order_relaxed);
	row->errors = atomic_load_explicit(&tally->errors, memory_order_relaxed);
	row->up = atomic_load_explicit(&tally->up, memory_order_relaxed);
	row->down = atomic_load_explicit(&tally->down, memory_order_relaxed);
	row->active = atomic_load_explicit(&tally->active, memory_order_relaxed);
}

struct tally_row *tallies_rows(struct tallies *tallies, size_t *count)
{
	struct tally_row *rows = malloc((TALLIES_MOST + 2) * sizeof *rows);
	*count = 0;
	if (!rows)
		return NULL;
	pthread_mutex_lock(&tallies->lock);
	for (size_t i = 0; i < tallies->count; i++)
		copy_row(&rows[(*count)++], &tallies->entries[i]->tally);
	pthread_mutex_unlock(&tallies->lock);
	copy_row(&rows[(*count)++], &tallies->other);
	copy_row(&rows[(*count)++], &tallies->none);
	return rows;
}
