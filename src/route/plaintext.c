#include "route/plaintext.h"

#include "route/routes_builder.h"

#include <stdio.h>

enum { ROUTE_HTTP, ROUTE_SSH, PLAINTEXT_ROUTES };

size_t routes_plaintext_count(const struct routes *routes)
{
	return routes->plaintext ? routes->config->listener_count * PLAINTEXT_ROUTES : 0;
}

struct route *routes_plaintext_at(const struct routes *routes, size_t index)
{
	struct route *route = &routes->plaintext[index];
	return route->host ? route : NULL;
}

struct route *routes_plaintext(
	const struct routes *routes, const struct listener_config *listener, enum plaintext what)
{
	size_t first = (size_t)(listener - routes->config->listeners) * PLAINTEXT_ROUTES;
	switch (what) {
	case PLAINTEXT_SSH:
		return routes_plaintext_at(routes, first + ROUTE_SSH);
	case PLAINTEXT_HTTP:
		return routes_plaintext_at(routes, first + ROUTE_HTTP);
	case PLAINTEXT_HTTP2: {
		struct route *route = routes_plaintext_at(routes, first + ROUTE_HTTP);
		return route && route->backend ? route : NULL;
	}
	case PLAINTEXT_MORE:
	case PLAINTEXT_OTHER:
		break;
	}
	return NULL;
}

struct route *routes_plaintext_named(const struct routes *routes, const char *name)
{
	for (size_t i = 0; i < routes_plaintext_count(routes); i++) {
		struct route *route = routes_plaintext_at(routes, i);
		if (route && strcmp(route->host, name) == 0)
			return route;
	}
	return NULL;
}

/* When a snapshot is built. */

static void build_one(struct builder *builder, const struct listener_config *listener,
	const char *word, const struct plaintext_backend *config, struct route *route)
{
	struct backend_request request = {.config = &config->config,
		.report = report_backend_at,
		.where = config->where,
		.under = ".tls"};
	route->host = arena_format(&builder->routes->arena, "%s@%s", word, listener->address);
	route->is_plaintext = true;
	builder->no_memory |= !route->host;
	if (config->where)
		route->backend = build_backend(builder, &request);
}

/* It must come before hello_timeout to come at all. */
static void check_silence(struct builder *builder, const struct listener_config *listener)
{
	uint64_t limit = builder->routes->config->proxy.hello_timeout_ms;
	if (limit > 0 && listener->plaintext->ssh_silence_ms >= limit)
		report_error(builder->report,
			"%s.plaintext.ssh_silence: expected less than \"proxy.hello_timeout\", which "
			"ends such a client",
			listener->where);
}

static void build_listener(
	struct builder *builder, const struct listener_config *listener, struct route *routes)
{
	const struct plaintext_config *plaintext = listener->plaintext;
	check_silence(builder, listener);
	if (plaintext->redirects_http || plaintext->http.where)
		build_one(builder, listener, "http", &plaintext->http, &routes[ROUTE_HTTP]);
	if (plaintext->ssh.where)
		build_one(builder, listener, "ssh", &plaintext->ssh, &routes[ROUTE_SSH]);
}

void build_plaintext(struct builder *builder)
{
	struct routes *routes = builder->routes;
	const struct config *config = routes->config;
	size_t count = config->listener_count * PLAINTEXT_ROUTES;
	for (size_t i = 0; i < config->listener_count && !builder->no_memory; i++) {
		if (!config->listeners[i].plaintext)
			continue;
		if (!routes->plaintext)
			routes->plaintext =
				arena_alloc(&routes->arena, count * sizeof *routes->plaintext);
		builder->no_memory |= !routes->plaintext;
		if (routes->plaintext)
			build_listener(builder, &config->listeners[i],
				&routes->plaintext[i * PLAINTEXT_ROUTES]);
	}
}
