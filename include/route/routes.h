/*
 * A snapshot: the configuration compiled for use, immutable from the moment it is published,
 * counted. Names are found by a keyed hash, a probe for each label at most, without allocation. A
 * session keeps the snapshot that it began with; the last holder of a reference frees all of it.
 */
#ifndef GATEHOUSE_ROUTE_ROUTES_H
#define GATEHOUSE_ROUTE_ROUTES_H

#include "base/path_set.h"
#include "base/report.h"
#include "route/route.h"
#include "tls/tls_store.h"
#include "wire/client_hello.h"

struct host;
struct routes;

struct routes_setup {
	const char *path;
	struct tls_store *store;
	struct servers *servers;
};

/*
 * Loads and validates everything that `path` names. NULL after errors, all of them in `report`.
 * `paths` (all zero) is filled either way. The caller has the only reference.
 */
struct routes *routes_load(
	const struct routes_setup *setup, struct path_set *paths, struct report *report);
struct routes *routes_ref(struct routes *routes);

/* The last one frees, which takes long with a large table: the main thread keeps a reference of
 * its own until routes_is_unused says that it is the last. */
void routes_unref(struct routes *routes);
bool routes_is_unused(const struct routes *routes);

/* The rest of the configuration; lives as long as the snapshot. */
const struct config *routes_config(const struct routes *routes);

/* The host for a name, whatever protocols are offered; NULL: none. */
const struct host *routes_host_of(const struct routes *routes, const struct server_name *name);

/* The route of a client with that name that agreed on that id or on none; NULL: none. */
struct route *routes_find(const struct routes *routes, struct span name, struct span alpn);

/* The route with those keys in another snapshot; NULL: it has none. */
struct route *routes_same(const struct routes *routes, const struct route *route);

/*
 * For a name that is unknown: the terminating route whose name shares the most labels with it, else
 * the first there is; NULL without any. To be used for its certificate alone.
 */
const struct route *routes_closest(const struct routes *routes, const struct server_name *name);

/*
 * The configuration of a listener, by its address there; NULL: it has none of that address.
 * `*forward` is the forward that it belongs to; NULL: it is a listener of the router.
 */
const struct listener_config *routes_listener(
	const struct routes *routes, const char *listen, struct route **forward);

/* Every backend of the snapshot, once. */
size_t routes_backend_count(const struct routes *routes);
struct backend *routes_backend(const struct routes *routes, size_t index);

/* Every context of its routes, once. */
size_t routes_context_count(const struct routes *routes);
const struct tls_context *routes_context(const struct routes *routes, size_t index);

struct routes_summary {
	size_t hosts, routes, contexts;
	struct tls_store_counts tls;
};
struct routes_summary routes_summary(const struct routes *routes);

/* What a reload changed, host by host. */
struct routes_change {
	size_t added, removed, changed;
};
struct routes_change routes_compare(const struct routes *before, const struct routes *after);

/* Each host by name, with what changed ('+', '-', '~'); stops when `visit` returns false. */
typedef bool routes_change_fn(void *owner, char what, const char *host);
void routes_each_change(const struct routes *before, const struct routes *after,
	routes_change_fn *visit, void *owner);

#endif
