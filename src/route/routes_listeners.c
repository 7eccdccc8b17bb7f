#include "route/host_table.h"
#include "route/routes.h"
#include "route/routes_builder.h"

/* Greetings. A mismatch in one connection is found by choose_route; here, what no connection can use. */

static const struct preface *first_preface(const struct listener_config *listener)
{
	return listener->prefaces ? *listener->prefaces : NULL;
}

static bool has_listener_for(const struct config *config, const struct backend *backend)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (preface_fits(first_preface(&config->listeners[i]), backend->starttls,
			    backend->is_behind_tls))
			return true;
	return false;
}

static bool has_backend_for(const struct routes *routes, const struct preface *front)
{
	for (size_t i = 0; i < routes->backends.count; i++) {
		const struct backend *backend = routes->backends.items[i];
		if (preface_fits(front, backend->starttls, backend->is_behind_tls))
			return true;
	}
	return false;
}

static void check_greeting(struct builder *builder, const struct listener_config *listener)
{
	const struct preface *first = first_preface(listener);
	if (first && first->speaks_first && !has_backend_for(builder->routes, first))
		report_error(builder->report,
			"%s.starttls: no host has a backend with \"starttls\": \"%s\"",
			listener->where, first->name);
}

static void check_backend(struct builder *builder, const struct backend *backend)
{
	const struct preface *starttls = backend->starttls;
	const char *where = builder->setup->path, *server = backend->servers[0].text;
	if (!starttls || !starttls->speaks_first ||
		has_listener_for(builder->routes->config, backend))
		return;
	if (starttls->joined && !backend->is_behind_tls)
		report_error(builder->report,
			"%s: the backend of \"%s\" has \"starttls\": \"%s\", which is not for "
			"\"mode\": \"passthrough\": its greeting is a part of the login",
			where, server, starttls->name);
	else
		report_error(builder->report,
			"%s: the backend of \"%s\" has \"starttls\": \"%s\", and no listener has it",
			where, server, starttls->name);
}

static void check_backends(struct builder *builder)
{
	for (size_t i = 0; i < builder->routes->backends.count; i++)
		check_backend(builder, builder->routes->backends.items[i]);
}

/* Plain text behind a client's TLS: a server that offers TLS there, or requires it, is taken at its word. */

static bool is_in_plaintext(const struct backend *backend)
{
	return backend && backend->is_behind_tls && !backend->starttls && !backend->servers[0].tls;
}

static const struct backend *backend_of_key(const struct builder *builder, const char *key)
{
	const struct host *host = host_table_get(&builder->routes->hosts, span_of_string(key));
	return host && host->own ? host->own->backend : NULL;
}

/* The first that clients of the listener reach in plain text; NULL: none. */
static const struct backend *find_plaintext(
	const struct builder *builder, const struct listener_config *listener)
{
	const struct pointers *all = &builder->routes->backends;
	if (listener->host) {
		const struct host *host = routes_host_of(builder->routes, listener->host);
		return host && host->own && is_in_plaintext(host->own->backend) ? host->own->backend
										: NULL;
	}
	for (size_t i = 0; i < listener->hosts.count; i++) {
		const struct backend *backend = backend_of_key(builder, listener->hosts.items[i]);
		if (is_in_plaintext(backend))
			return backend;
	}
	for (size_t i = 0; listener->hosts.count == 0 && i < all->count; i++)
		if (is_in_plaintext(all->items[i]))
			return all->items[i];
	return NULL;
}

static void check_plaintext(struct builder *builder, const struct listener_config *listener)
{
	const struct preface *first = first_preface(listener);
	const struct backend *backend =
		first && first->offers_starttls ? find_plaintext(builder, listener) : NULL;
	if (backend)
		report_warning(builder->report,
			"%s.starttls: clients reach \"%s\" in plain text behind their TLS: a server "
			"that offers STARTTLS there, or no login, confuses them; see gatehouse.json(5), "
			"STARTTLS",
			listener->where, backend->servers[0].text);
}

/* Names. */

static void check_name(struct builder *builder, const struct listener_config *listener,
	const char *field, const struct server_name *name)
{
	if (name && !routes_host_of(builder->routes, name))
		report_error(builder->report, "%s.%s: no host has the name \"%s\"", listener->where,
			field, name->text);
}

static void check_names(struct builder *builder, const struct listener_config *listener)
{
	check_name(builder, listener, "host", listener->host);
	check_name(builder, listener, "default_host", listener->default_host);
	for (size_t i = 0; i < listener->hosts.count; i++) {
		const char *key = listener->hosts.items[i];
		if (!host_table_get(&builder->routes->hosts, span_of_string(key)))
			report_error(builder->report, "%s.hosts[%zu]: there is no host \"%s\"",
				listener->where, i, key);
	}
}

void build_check_listeners(struct builder *builder)
{
	const struct config *config = builder->routes->config;
	for (size_t i = 0; i < config->listener_count; i++) {
		check_greeting(builder, &config->listeners[i]);
		check_names(builder, &config->listeners[i]);
		check_plaintext(builder, &config->listeners[i]);
	}
	check_backends(builder);
}
