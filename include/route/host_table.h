/*
 * The hosts of a snapshot by name: exact, then "*.parent" with the longest parent, then "*". The
 * hash is keyed, so that strangers cannot choose names that collide; a lookup allocates nothing
 * and takes a probe for each label.
 */
#ifndef GATEHOUSE_ROUTE_HOST_TABLE_H
#define GATEHOUSE_ROUTE_HOST_TABLE_H

#include "base/bytes.h"
#include "base/hash.h"

struct route;

struct host {
	const char *name;  /* canonical */
	uint64_t digest;   /* of what its configuration says */
	struct route *own; /* NULL: only its protocols have routes */
	struct route *alpn;
	uint32_t alpn_count;
	uint32_t name_len;
	uint32_t file, line; /* of its definition, while the table is loaded */
};

struct slot; /* a tag of the hash, and an index */

struct slots {
	struct slot *at;
	size_t size, used; /* size: a power of two, or 0 */
};

struct host_table {
	struct hash_key key;
	struct host *hosts; /* in the order of the configuration */
	size_t count, room;
	struct slots names;
	struct slots parents; /* of hosts with a certificate, for host_table_closest */
};

void host_table_init(struct host_table *table);
void host_table_finish(struct host_table *table);

/* NULL: out of memory, or there is one of that name already (see host_table_get). */
struct host *host_table_add(struct host_table *table, const struct host *host);

/* The host with exactly that name, "*" and "*.x" included. */
const struct host *host_table_get(const struct host_table *table, struct span name);

/* The host for a client's canonical name; for an empty name it is "*". */
const struct host *host_table_match(const struct host_table *table, struct span name);

/* Marks the host as one that has a certificate to show. False: out of memory. */
bool host_table_add_closest(struct host_table *table, const struct host *host);

/*
 * The marked host that shares the most labels with `name`, from the right; NULL: none shares any.
 */
const struct host *host_table_closest(const struct host_table *table, struct span name);

/* When the last host is in: gives back what was allocated ahead. */
void host_table_seal(struct host_table *table);

#endif
