#include "route/kept_route.h"

#include "config/config_read.h"
#include "route/routes_inside.h"
#include "route/routes_stats.h"

#include <stdlib.h>

static const char *copy_text(struct arena *arena, const char *text)
{
	return arena_copy(arena, text, strlen(text));
}

static bool copy_server(struct routes *kept, struct server *out, struct server *server)
{
	out->text = copy_text(&kept->arena, server->text);
	out->backup = server->backup;
	atomic_init(&out->drained, atomic_load(&server->drained));
	if (server->state)
		out->state = server_state_ref(kept->servers, server->state->text);
	if (server->tls)
		out->tls = tls_peer_ref(server->tls);
	return out->text && (!server->state || out->state);
}

static struct backend *copy_backend(struct routes *kept, struct backend *backend)
{
	struct backend *out = arena_alloc(&kept->arena, sizeof *out);
	struct server *servers =
		arena_alloc(&kept->arena, backend->count * sizeof *backend->servers);
	if (!out || !servers || !pointers_add(&kept->backends, out))
		return NULL;
	out->servers = servers;
	out->balance = backend->balance;
	out->proxy_protocol = backend->proxy_protocol;
	out->starttls = backend->starttls;
	out->is_behind_tls = backend->is_behind_tls;
	while (out->count < backend->count) {
		unsigned at = out->count++;
		if (!copy_server(kept, &servers[at], &backend->servers[at]))
			return NULL;
	}
	return out;
}

static bool copy_context(struct routes *kept, struct tls_context *context)
{
	if (!context)
		return true;
	if (!pointers_add(&kept->contexts, context))
		return false;
	tls_context_ref(context);
	return true;
}

static bool copy_slots(struct routes *kept, struct route *out, const struct route *route)
{
	if (!route->slots)
		return true;
	struct server_state *slots = server_state_ref(kept->servers, route->slots->text);
	out->slots = slots;
	if (slots && pointers_add(&kept->slots, slots))
		return true;
	if (slots)
		server_state_unref(kept->servers, slots);
	return false;
}

/* For a server that is asked to cancel, which is connected to anew. */
static bool copy_offer(struct routes *kept, struct route *out, const struct route *route)
{
	const struct strings *offer = &route->offer_alpn;
	if (offer->count == 0)
		return true;
	out->offer_alpn.items =
		arena_alloc(&kept->arena, offer->count * sizeof *out->offer_alpn.items);
	for (size_t i = 0; out->offer_alpn.items && i < offer->count; i++) {
		out->offer_alpn.items[i] = (char *)copy_text(&kept->arena, offer->items[i]);
		if (!out->offer_alpn.items[i])
			return false;
		out->offer_alpn.count++;
	}
	return out->offer_alpn.items != NULL;
}

/* The entry is the same one, because the old route has a reference to it. */
static bool copy_stats(struct route_stats_table *table, struct routes *kept, struct route *out,
	struct route *route)
{
	struct route_stats *stats = atomic_load(&route->stats);
	if (!stats || stats == route_stats_other(table))
		return true;
	return routes_stats_of(table, kept, out) == stats;
}

static bool copy_route(struct route_stats_table *table, struct routes *kept, struct route *route)
{
	struct route *out = kept->forwards;
	out->host = copy_text(&kept->arena, route->host);
	char *alpn = arena_copy(&kept->arena, (const char *)route->alpn.data, route->alpn.len);
	if (!out->host || !alpn)
		return false;
	out->alpn = span_of(alpn, route->alpn.len);
	out->tls = route->tls;
	out->tls_no_client_auth = route->tls_no_client_auth;
	out->max_connections = route->max_connections;
	out->revalidate = route->revalidate;
	out->is_forward = route->is_forward;
	out->is_plaintext = route->is_plaintext;
	out->backend = copy_backend(kept, route->backend);
	return out->backend && copy_context(kept, route->tls) &&
		copy_context(kept, route->tls_no_client_auth) && copy_offer(kept, out, route) &&
		copy_slots(kept, out, route) && copy_stats(table, kept, out, route);
}

static struct routes *kept_create(
	struct route_stats_table *table, struct routes *routes, struct route *route)
{
	struct routes *kept = calloc(1, sizeof *kept);
	if (!kept)
		return NULL;
	kept->refs = 1;
	kept->servers = routes->servers;
	pthread_mutex_init(&kept->stats_lock, NULL);
	kept->config = config_of_limits(routes->config);
	kept->forwards = arena_alloc(&kept->arena, sizeof *kept->forwards);
	kept->route_count = 1;
	kept->is_kept = true;
	if (kept->config && kept->forwards && copy_route(table, kept, route))
		return kept;
	routes_unref(kept);
	return NULL;
}

/* Under the lock: two workers may keep a route at once. */
static struct routes *find_or_create(
	struct route_stats_table *table, struct routes *routes, struct route *route)
{
	struct routes *kept = route->kept;
	if (kept)
		return kept;
	kept = kept_create(table, routes, route);
	if (kept && !pointers_add(&routes->kept, kept)) {
		routes_unref(kept);
		return NULL;
	}
	return route->kept = kept;
}

struct routes *routes_keep(struct route_stats_table *table, struct routes *routes,
	struct route *route, struct route **out)
{
	pthread_mutex_lock(&routes->stats_lock);
	struct routes *kept = find_or_create(table, routes, route);
	if (kept) {
		routes_ref(kept);
		*out = kept->forwards;
	}
	pthread_mutex_unlock(&routes->stats_lock);
	return kept;
}

bool routes_is_kept(const struct routes *routes)
{
	return routes->is_kept;
}
