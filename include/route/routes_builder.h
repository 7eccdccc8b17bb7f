/*
 * What lives while a snapshot is built (routes_load.c), and how its backends are
 * (routes_backends.c).
 */
#ifndef GATEHOUSE_ROUTE_ROUTES_BUILDER_H
#define GATEHOUSE_ROUTE_ROUTES_BUILDER_H

#include "base/path_set.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "route/routes_inside.h"

struct routes_setup;

#define TRUST_EXPIRED_CRL "a certificate revocation list has expired"

struct builder {
	const struct routes_setup *setup;
	struct routes *routes;
	struct path_set *paths;
	struct report *report;
	void *contexts;            /* trees of pointers: those already in routes->contexts, */
	void *warned;              /* and credentials that were warned about */
	void *backends;            /* a tree of struct shared_backend */
	void *h2_hosts;            /* a tree (routes_coalescing.c) */
	struct strbuf backend_key; /* of the backend at hand */
	struct pointers files;     /* names of the files of hosts, borrowed */
	bool no_memory;
	bool ossl_lacks; /* memory, in a check of a certificate (tls/tls_store.h) */
};

/* Adds to one of the trees of pointers. True when the item was not there. */
bool builder_add_once(struct builder *builder, void **tree, void *item);

/* A backend to build for a host or a forward. `report` reports a finding in one of its fields
 * (`index` -1: no list). */
struct backend_request {
	const struct backend_config *config;
	void (*report)(const struct backend_request *request, struct report *report,
		enum severity severity, const char *field, int index, const char *text);
	const struct route_config *route; /* a host's or ... */
	const char *where;                /* ... another's, and what stands between it and */
	const char *under;                /* a field of its TLS: ".tls"; NULL: nothing */
};

/* The report of a request that is no host's: `config.json:40: forwards[0].ca`. */
void report_backend_at(const struct backend_request *request, struct report *report,
	enum severity severity, const char *field, int index, const char *text);

/* routes_backends.c: those that say the same of their backend share one. NULL after an error. */
struct backend *build_backend(struct builder *builder, const struct backend_request *request);
void build_backends_finish(struct builder *builder);

/*
 * routes_coalescing.c: warns if browsers would use a connection to another host for this one. For each
 * route once, when it is built; `config` is what it is built from.
 */
void build_check_coalescing(
	struct builder *builder, const struct route_config *config, const struct route *route);
void build_coalescing_finish(struct builder *builder);

/* routes_binding.c: warns where logins cannot prove that both ends see one certificate. */
void build_check_binding(
	struct builder *builder, const struct route_config *config, const struct route *route);

/* plaintext.c: the routes of what is not TLS. */
void build_plaintext(struct builder *builder);

/* routes_listeners.c: do listeners and hosts go together? When all hosts are known. */
void build_check_listeners(struct builder *builder);

#endif
