#include "config/config_finding.h"
#include "route/routes.h"
#include "route/routes_builder.h"

#include <search.h>
#include <stdlib.h>

/*
 * A browser uses one HTTP/2 connection for all names that its certificate covers and that have the same
 * address (RFC 9113 section 9.1.1). Here a connection has one backend: what it carries for the other
 * name reaches the wrong one, and HTTP, which would show that, is not parsed.
 */

/* The first host that offers h2 under a certificate; one entry for each certificate. */
struct h2_host {
	const struct credential *credential;
	const char *name;
	const struct backend *backend;
	bool is_warned;
};

static int h2_host_compare(const void *one, const void *other)
{
	const struct h2_host *a = one, *b = other;
	return a->credential < b->credential ? -1 : a->credential > b->credential;
}

static bool offers_h2(const struct route *route)
{
	struct span h2 = span_of("h2", 2);
	if (span_equal(route->alpn, h2))
		return true;
	for (size_t i = 0; route->alpn.len == 0 && i < route->offer_alpn.count; i++)
		if (span_equal(span_of_string(route->offer_alpn.items[i]), h2))
			return true;
	return false;
}

/* "*" is reached by every name that no other host has, those of the certificate too. */
static bool is_covered(const struct credential *credential, const char *host)
{
	struct server_name name;
	return strcmp(host, "*") == 0 ||
		(server_name_parse_pattern(span_of_string(host), &name) == NULL &&
			credential_covers(credential, &name));
}

/* Of that certificate the first, which may be the wanted one itself. NULL: no memory. */
static struct h2_host *h2_host_first(struct builder *builder, const struct h2_host *wanted)
{
	struct h2_host **found = tfind(wanted, &builder->h2_hosts, h2_host_compare);
	if (found)
		return *found;
	struct h2_host *first = malloc(sizeof *first);
	if (first)
		*first = *wanted;
	if (first && tsearch(first, &builder->h2_hosts, h2_host_compare))
		return first;
	free(first);
	builder->no_memory = true;
	return NULL;
}

void build_check_coalescing(
	struct builder *builder, const struct route_config *config, const struct route *route)
{
	if (!route->tls || !offers_h2(route))
		return;
	const struct tls_policy *policy = &route->tls->policy;
	for (size_t i = 0; i < policy->credential_count; i++) {
		struct h2_host this = {policy->credentials[i], route->host, route->backend, false};
		if (!is_covered(this.credential, this.name))
			continue;
		struct h2_host *first = h2_host_first(builder, &this);
		if (!first || first->is_warned || first->backend == this.backend ||
			strcmp(first->name, this.name) == 0)
			continue;
		first->is_warned = true;
		route_config_warning(config, builder->report, "cert", -1,
			"HTTP/2 clients may send requests for this host over a connection to \"%s\", "
			"which has another backend: both offer \"h2\" under one certificate",
			first->name);
	}
}

void build_coalescing_finish(struct builder *builder)
{
	tdestroy(builder->h2_hosts, free);
}
