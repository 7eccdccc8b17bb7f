#include "route/routes.h"

#include "config/config_read.h"
#include "route/acl/acl.h"
#include "route/routes_inside.h"
#include "stats/route_stats.h"

#include <stdlib.h>

struct routes *routes_ref(struct routes *routes)
{
	atomic_fetch_add(&routes->refs, 1);
	return routes;
}

void routes_unref(struct routes *routes)
{
	if (!routes || atomic_fetch_sub(&routes->refs, 1) > 1)
		return;
	for (size_t i = 0; i < routes->contexts.count; i++)
		tls_context_unref(routes->contexts.items[i]);
	for (size_t i = 0; i < routes->backends.count; i++)
		backend_finish(routes->backends.items[i], routes->servers);
	for (size_t i = 0; i < routes->acls.count; i++)
		acl_free(routes->acls.items[i]);
	for (size_t i = 0; i < routes->stats.count; i++)
		route_stats_release(routes->stats.items[i]);
	for (size_t i = 0; i < routes->slots.count; i++)
		server_state_unref(routes->servers, routes->slots.items[i]);
	for (size_t i = 0; i < routes->kept.count; i++)
		routes_unref(routes->kept.items[i]);
	free(routes->kept.items);
	free(routes->stats.items);
	free(routes->slots.items);
	pthread_mutex_destroy(&routes->stats_lock);
	free(routes->contexts.items);
	free(routes->backends.items);
	free(routes->acls.items);
	host_table_finish(&routes->hosts);
	arena_finish(&routes->arena);
	config_free(routes->config);
	free(routes);
}

bool routes_is_unused(const struct routes *routes)
{
	return atomic_load(&routes->refs) == 1;
}

const struct config *routes_config(const struct routes *routes)
{
	return routes->config;
}

const struct host *routes_host_of(const struct routes *routes, const struct server_name *name)
{
	return host_table_match(&routes->hosts, span_of(name->text, name->len));
}

struct route *routes_find(const struct routes *routes, struct span name, struct span alpn)
{
	const struct host *host = host_table_match(&routes->hosts, name);
	for (uint32_t i = 0; host && i < host->alpn_count; i++)
		if (span_equal(host->alpn[i].alpn, alpn))
			return &host->alpn[i];
	return host ? host->own : NULL;
}

struct route *routes_same(const struct routes *routes, const struct route *route)
{
	const struct host *host = host_table_get(&routes->hosts, span_of_string(route->host));
	if (!host || route->alpn.len == 0)
		return host ? host->own : NULL;
	for (uint32_t i = 0; i < host->alpn_count; i++)
		if (span_equal(host->alpn[i].alpn, route->alpn))
			return &host->alpn[i];
	return NULL;
}

static const struct route *with_certificate(const struct host *host)
{
	if (host->own && host->own->tls)
		return host->own;
	for (uint32_t i = 0; i < host->alpn_count; i++)
		if (host->alpn[i].tls)
			return &host->alpn[i];
	return NULL;
}

const struct route *routes_closest(const struct routes *routes, const struct server_name *name)
{
	const struct host *host =
		host_table_closest(&routes->hosts, span_of(name->text, name->len));
	return host ? with_certificate(host) : routes->first_with_certificate;
}

static const struct listener_config *find_listener(
	const struct listener_config *listeners, size_t count, const char *listen)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(listeners[i].address, listen) == 0)
			return &listeners[i];
	return NULL;
}

const struct listener_config *routes_listener(
	const struct routes *routes, const char *listen, struct route **forward)
{
	const struct config *config = routes->config;
	*forward = NULL;
	for (size_t i = 0; i < config->forward_count; i++) {
		const struct forward_config *at = &config->forwards[i];
		const struct listener_config *found =
			find_listener(at->listeners, at->listener_count, listen);
		if (!found)
			continue;
		*forward = &routes->forwards[i];
		return found;
	}
	return find_listener(config->listeners, config->listener_count, listen);
}

size_t routes_backend_count(const struct routes *routes)
{
	return routes->backends.count;
}

struct backend *routes_backend(const struct routes *routes, size_t index)
{
	return routes->backends.items[index];
}

size_t routes_context_count(const struct routes *routes)
{
	return routes->contexts.count;
}

const struct tls_context *routes_context(const struct routes *routes, size_t index)
{
	return routes->contexts.items[index];
}

struct routes_summary routes_summary(const struct routes *routes)
{
	return (struct routes_summary){.hosts = routes->hosts.count,
		.routes = routes->route_count,
		.contexts = routes->contexts.count,
		.tls = routes->tls_counts};
}

static bool visit_removed(const struct routes *before, const struct routes *after,
	routes_change_fn *visit, void *owner)
{
	for (size_t i = 0; i < before->hosts.count; i++) {
		const char *name = before->hosts.hosts[i].name;
		if (!host_table_get(&after->hosts, span_of_string(name)) &&
			!visit(owner, '-', name))
			return false;
	}
	return true;
}

void routes_each_change(const struct routes *before, const struct routes *after,
	routes_change_fn *visit, void *owner)
{
	for (size_t i = 0; i < after->hosts.count; i++) {
		const struct host *host = &after->hosts.hosts[i];
		const struct host *was = host_table_get(&before->hosts, span_of_string(host->name));
		if (was && was->digest == host->digest)
			continue;
		if (!visit(owner, was ? '~' : '+', host->name))
			return;
	}
	visit_removed(before, after, visit, owner);
}

static bool count_change(void *owner, char what, const char *host)
{
	struct routes_change *change = owner;
	(void)host;
	if (what == '+')
		change->added++;
	else if (what == '-')
		change->removed++;
	else
		change->changed++;
	return true;
}

struct routes_change routes_compare(const struct routes *before, const struct routes *after)
{
	struct routes_change change = {0};
	routes_each_change(before, after, count_change, &change);
	return change;
}
