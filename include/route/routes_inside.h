/* The inside of a snapshot, shared by the code that builds it and the code that reads it. */
#ifndef GATEHOUSE_ROUTE_ROUTES_INSIDE_H
#define GATEHOUSE_ROUTE_ROUTES_INSIDE_H

#include "route/host_table.h"
#include "route/routes.h"

struct pointers {
	void **items;
	size_t count, room;
};
bool pointers_add(struct pointers *pointers, void *item);

struct routes {
	atomic_uint refs;
	struct config *config;
	struct servers *servers;
	struct arena arena; /* names, routes, backends */
	struct host_table hosts;
	size_t route_count;
	struct route *forwards;   /* as many as in the configuration, in its order */
	struct pointers contexts; /* each with a reference */
	struct pointers backends; /* each to be finished */
	struct pointers acls;     /* each owned */
	struct pointers slots;    /* of routes with a limit: each with a reference */
	struct pointers table;    /* of routes that have one; grows under the lock of the table */
	const struct route *first_with_certificate;
	struct tls_store_counts tls_counts;
};

/* What lives while one configuration is read (routes_load.c). */
struct builder {
	const struct routes_setup *setup;
	struct routes *routes;
	struct path_set *paths;
	struct report *report;
	void *contexts;        /* trees of pointers: those already in routes->contexts, */
	void *warned;          /* and credentials that were warned about */
	void *backends;        /* a tree of struct shared_backend */
	struct pointers files; /* names of those that hosts were read from, lent */
	bool no_memory;
};

/* Who asks for a backend, and how a fault in one of its fields is told (`index` -1: no list). */
struct backend_request {
	const struct backend_config *config;
	void (*complain)(const struct backend_request *request, struct report *report,
		const char *field, int index, const char *text);
	const struct route_config *route; /* a host's or ... */
	const char *where;                /* ... a forward's */
};

/* routes_backends.c: those that say the same of their backend share one. NULL after an error. */
struct backend *build_backend(struct builder *builder, const struct backend_request *request);
void build_backends_finish(struct builder *builder);

#endif
