#include "stats/route_stats.h"

#include "wire/client_hello.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
	struct route_stats stats; /* first: stats lead to their entry */
	struct route_stats_table *table;
	unsigned refs; /* under the lock */
	char text[];   /* host, id, and the id as text */
};

struct route_stats_table {
	pthread_mutex_t lock;
	struct entry *entries[ROUTE_STATS_MAX]; /* sorted */
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

static int entry_compare(const char *host, struct span alpn_id, const struct entry *entry)
{
	struct span other = entry->stats.alpn_id;
	int order = strcmp(host, entry->stats.host);
	if (order == 0 && alpn_id.len != other.len)
		order = alpn_id.len < other.len ? -1 : 1;
	if (order == 0 && alpn_id.len > 0)
		order = memcmp(alpn_id.data, other.data, alpn_id.len);
	return order;
}

/* Where in the sorted list it is, or would be. */
static size_t entry_index(const struct route_stats_table *table, const char *host,
	struct span alpn_id, bool *is_found)
{
	size_t from = 0, to = table->count;
	*is_found = false;
	while (from < to) {
		size_t middle = (from + to) / 2;
		int order = entry_compare(host, alpn_id, table->entries[middle]);
		if (order == 0) {
			*is_found = true;
			return middle;
		}
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return from;
}

static struct entry *entry_create(
	struct route_stats_table *table, const char *host, struct span alpn_id)
{
	char alpn[ALPN_TEXT_MAX];
	size_t host_size = strlen(host) + 1;
	alpn_text(alpn_id, alpn, sizeof alpn);
	size_t alpn_size = strlen(alpn) + 1;
	struct entry *entry = calloc(1, sizeof *entry + host_size + alpn_id.len + alpn_size);
	if (!entry)
		return NULL;
	char *id = entry->text + host_size;
	entry->stats.host = memcpy(entry->text, host, host_size);
	if (alpn_id.len > 0)
		memcpy(id, alpn_id.data, alpn_id.len);
	entry->stats.alpn_id = span_of(id, alpn_id.len);
	entry->stats.alpn = memcpy(id + alpn_id.len, alpn, alpn_size);
	entry->table = table;
	return entry;
}

static struct entry *entry_insert(
	struct route_stats_table *table, const char *host, struct span alpn_id, size_t at)
{
	struct entry *entry =
		table->count < ROUTE_STATS_MAX ? entry_create(table, host, alpn_id) : NULL;
	if (!entry)
		return NULL;
	memmove(&table->entries[at + 1], &table->entries[at],
		(table->count - at) * sizeof *table->entries);
	table->entries[at] = entry;
	table->count++;
	return entry;
}

static void entry_remove(struct route_stats_table *table, struct entry *entry)
{
	bool is_found;
	size_t at = entry_index(table, entry->stats.host, entry->stats.alpn_id, &is_found);
	table->count--;
	memmove(&table->entries[at], &table->entries[at + 1],
		(table->count - at) * sizeof *table->entries);
	free(entry);
}

struct route_stats *route_stats_get(
	struct route_stats_table *table, const char *host, struct span alpn_id, bool is_terminated)
{
	bool is_found;
	pthread_mutex_lock(&table->lock);
	size_t at = entry_index(table, host, alpn_id, &is_found);
	struct entry *entry =
		is_found ? table->entries[at] : entry_insert(table, host, alpn_id, at);
	if (entry) {
		entry->refs++;
		entry->stats.is_terminated = is_terminated;
	}
	pthread_mutex_unlock(&table->lock);
	return entry ? &entry->stats : NULL;
}

void route_stats_release(struct route_stats *stats)
{
	struct entry *entry = (struct entry *)stats;
	struct route_stats_table *table = entry->table;
	pthread_mutex_lock(&table->lock);
	if (--entry->refs == 0)
		entry_remove(table, entry);
	pthread_mutex_unlock(&table->lock);
}

struct route_stats *route_stats_other(struct route_stats_table *table)
{
	return &table->other;
}

struct route_stats *route_stats_none(struct route_stats_table *table)
{
	return &table->none;
}

size_t route_stats_get_all(
	struct route_stats_table *table, struct route_stats *out[ROUTE_STATS_MAX])
{
	pthread_mutex_lock(&table->lock);
	size_t count = table->count;
	for (size_t i = 0; i < count; i++) {
		table->entries[i]->refs++;
		out[i] = &table->entries[i]->stats;
	}
	pthread_mutex_unlock(&table->lock);
	return count;
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
