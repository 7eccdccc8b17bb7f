#include "route/host_table.h"

#include <stdlib.h>

struct slot {
	uint32_t tag;
	uint32_t index; /* of the host, plus one; 0: free */
};

#define SLOTS_FIRST 64

void host_table_init(struct host_table *table)
{
	*table = (struct host_table){.key = hash_key_random()};
}

void host_table_finish(struct host_table *table)
{
	free(table->hosts);
	free(table->names.at);
	free(table->parents.at);
}

static bool slots_grow(struct slots *slots)
{
	size_t size = slots->size ? slots->size * 2 : SLOTS_FIRST;
	struct slot *at = calloc(size, sizeof *at);
	if (!at)
		return false;
	/*
	 * A tag has 32 bits of the hash, and no table is larger: the old tag finds the new place.
	 */
	for (size_t i = 0; i < slots->size; i++) {
		if (slots->at[i].index == 0)
			continue;
		size_t place = slots->at[i].tag & (size - 1);
		while (at[place].index != 0)
			place = (place + 1) & (size - 1);
		at[place] = slots->at[i];
	}
	free(slots->at);
	slots->at = at;
	slots->size = size;
	return true;
}

static bool slots_put(struct slots *slots, uint32_t tag, uint32_t index)
{
	if (slots->used * 3 >= slots->size * 2 && !slots_grow(slots))
		return false;
	size_t place = tag & (slots->size - 1);
	while (slots->at[place].index != 0)
		place = (place + 1) & (slots->size - 1);
	slots->at[place] = (struct slot){tag, index};
	slots->used++;
	return true;
}

typedef bool is_same_fn(const struct host *host, struct span name);

static const struct host *slots_find(const struct host_table *table, const struct slots *slots,
	uint32_t tag, struct span name, is_same_fn *is_same)
{
	if (slots->size == 0)
		return NULL;
	for (size_t place = tag & (slots->size - 1); slots->at[place].index != 0;
		place = (place + 1) & (slots->size - 1)) {
		const struct host *host = &table->hosts[slots->at[place].index - 1];
		if (slots->at[place].tag == tag && is_same(host, name))
			return host;
	}
	return NULL;
}

static uint32_t tag_of(const struct host_table *table, struct span name)
{
	return (uint32_t)hash_bytes(table->key, name.data, name.len);
}

static bool is_host(const struct host *host, struct span name)
{
	return host->name_len == name.len && memcmp(host->name, name.data, name.len) == 0;
}

/* "*.example.com" is filed under ".example.com", which no name can be. */
static bool is_wildcard(const struct host *host, struct span parent)
{
	return host->name_len == parent.len + 1 && host->name[0] == '*' &&
		memcmp(host->name + 1, parent.data, parent.len) == 0;
}

static bool is_below(const struct host *host, struct span parent)
{
	size_t len = host->name_len;
	return len >= parent.len &&
		memcmp(host->name + len - parent.len, parent.data, parent.len) == 0 &&
		(len == parent.len || host->name[len - parent.len - 1] == '.');
}

static struct span key_of(const char *name, size_t len)
{
	bool wildcard = len > 1 && name[0] == '*';
	return span_of(name + wildcard, len - wildcard);
}

const struct host *host_table_get(const struct host_table *table, struct span name)
{
	struct span key = key_of((const char *)name.data, name.len);
	return slots_find(table, &table->names, tag_of(table, key), key,
		key.len < name.len ? is_wildcard : is_host);
}

struct host *host_table_add(struct host_table *table, const struct host *host)
{
	struct span name = span_of(host->name, host->name_len);
	if (host_table_get(table, name) || table->count >= UINT32_MAX - 1)
		return NULL;
	if (table->count == table->room) {
		size_t room = table->room ? table->room + table->room / 2 : 16;
		struct host *more = realloc(table->hosts, room * sizeof *more);
		if (!more)
			return NULL;
		table->hosts = more;
		table->room = room;
	}
	uint32_t tag = tag_of(table, key_of(host->name, host->name_len));
	if (!slots_put(&table->names, tag, (uint32_t)table->count + 1))
		return NULL;
	table->hosts[table->count] = *host;
	return &table->hosts[table->count++];
}

/* Cuts the first label off, its dot left in front: "a.b.c" to ".b.c", then to ".c". */
static bool next_parent(struct span *name)
{
	struct span rest = {name->data + 1, name->len - 1};
	const uint8_t *dot = name->len > 1 ? memchr(rest.data, '.', rest.len) : NULL;
	if (!dot)
		return false;
	name->len -= (size_t)(dot - name->data);
	name->data = dot;
	return true;
}

const struct host *host_table_match(const struct host_table *table, struct span name)
{
	const struct host *host = NULL;
	if (name.len > 0)
		host = slots_find(table, &table->names, tag_of(table, name), name, is_host);
	struct span parent = name;
	while (!host && parent.len > 0 && next_parent(&parent))
		host = slots_find(table, &table->names, tag_of(table, parent), parent, is_wildcard);
	return host ? host : host_table_get(table, span_of("*", 1));
}

static struct span without_dot(struct span parent)
{
	return parent.len > 0 && parent.data[0] == '.' ? span_of(parent.data + 1, parent.len - 1)
						       : parent;
}

bool host_table_add_closest(struct host_table *table, const struct host *host)
{
	struct span parent = key_of(host->name, host->name_len);
	uint32_t index = (uint32_t)(host - table->hosts) + 1;
	do {
		struct span key = without_dot(parent);
		uint32_t tag = tag_of(table, key);
		if (slots_find(table, &table->parents, tag, key, is_below))
			return true; /* and so are all parents of this one */
		if (!slots_put(&table->parents, tag, index))
			return false;
	} while (next_parent(&parent));
	return true;
}

const struct host *host_table_closest(const struct host_table *table, struct span name)
{
	struct span parent = name;
	const struct host *host = NULL;
	do {
		struct span key = without_dot(parent);
		host = slots_find(table, &table->parents, tag_of(table, key), key, is_below);
	} while (!host && parent.len > 0 && next_parent(&parent));
	return host;
}

void host_table_seal(struct host_table *table)
{
	struct host *exact = realloc(table->hosts, (table->count + 1) * sizeof *exact);
	if (exact) {
		table->hosts = exact;
		table->room = table->count + 1;
	}
}
