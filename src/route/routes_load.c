#include "config/acl_rule.h"
#include "config/config_finding.h"
#include "config/config_read.h"
#include "route/acl/acl.h"
#include "route/routes.h"
#include "route/routes_builder.h"
#include "tls/cert/credential_check.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void keep_item(void *item)
{
	(void)item;
}

/* Certificates. */

struct pair_place {
	struct builder *builder;
	const struct route_config *config;
	int index; /* in the lists of certificates and keys */
};

static void warn_of_pair(void *owner, enum credential_part part, const char *text)
{
	const struct pair_place *place = owner;
	route_config_warning(place->config, place->builder->report,
		part == CREDENTIAL_CERT ? "cert" : "key", place->index, "%s", text);
}

static void warn_of_name(struct builder *builder, const char *host,
	const struct route_config *config, int index, const struct credential *credential)
{
	struct server_name name;
	if (strcmp(host, "*") == 0 ||
		server_name_parse_pattern(span_of_string(host), &name) != NULL)
		return;
	if (!credential_covers(credential, &name))
		route_config_warning(config, builder->report, "cert", index,
			"the certificate does not cover the name \"%s\"", host);
}

static bool has_other_of_type(const struct tls_policy *policy, const struct credential *credential)
{
	const char *type = credential_key_type(credential);
	for (size_t i = 0; i < policy->credential_count; i++)
		if (strcmp(credential_key_type(policy->credentials[i]), type) == 0)
			return true;
	return false;
}

static void report_failure(struct builder *builder, const struct route_config *config,
	const char *field, int index, const struct err *err)
{
	route_config_error(config, builder->report, field, index, "%s", err->text);
	report_cause(builder->report, err);
}

static void load_pair(struct builder *builder, const char *host, const struct route_config *config,
	size_t index, struct tls_policy *policy)
{
	const char *cert = config->cert.items[index], *key = config->key.items[index];
	int shown = config->cert.count > 1 ? (int)index : -1;
	enum credential_part at_fault;
	struct err err;
	builder->no_memory |=
		!path_set_add(builder->paths, cert) || !path_set_add(builder->paths, key);
	struct credential *credential =
		tls_store_credential(builder->setup->store, cert, key, &at_fault, &err);
	if (!credential) {
		report_failure(
			builder, config, at_fault == CREDENTIAL_CERT ? "cert" : "key", shown, &err);
		return;
	}
	if (has_other_of_type(policy, credential)) {
		route_config_error(config, builder->report, "cert", shown,
			"a second %s certificate, expected one of each type",
			credential_key_type(credential));
		return;
	}
	struct pair_place place = {builder, config, shown};
	errno = 0;
	if (builder_add_once(builder, &builder->warned, credential))
		credential_check(credential, time(NULL), warn_of_pair, &place);
	warn_of_name(builder, host, config, shown, credential);
	builder->ossl_lacks |= errno == ENOMEM;
	policy->credentials[policy->credential_count++] = credential;
}

static void load_trust(
	struct builder *builder, const struct route_config *config, struct tls_policy *policy)
{
	struct trust_files files = {(const char *const *)config->ca.items,
		(const char *const *)config->crl.items, config->ca.count, config->crl.count};
	enum trust_part at_fault = TRUST_CA;
	int index = -1;
	struct err err;
	for (size_t i = 0; i < files.ca_count; i++)
		builder->no_memory |= !path_set_add(builder->paths, files.ca[i]);
	for (size_t i = 0; i < files.crl_count; i++)
		builder->no_memory |= !path_set_add(builder->paths, files.crl[i]);
	policy->trust = tls_store_trust(builder->setup->store, &files, &at_fault, &index, &err);
	size_t listed = at_fault == TRUST_CA ? files.ca_count : files.crl_count;
	if (!policy->trust)
		report_failure(builder, config, at_fault == TRUST_CA ? "ca" : "crl",
			listed > 1 ? index : -1, &err);
	else if (trust_has_expired_crl(policy->trust, time(NULL)))
		route_config_warning(config, builder->report, "crl", -1, TRUST_EXPIRED_CRL "%s",
			config->refuse_expired_crl ? ": clients are refused" : "");
}

static enum tls_verify verify_of(const struct route_config *config, bool has_acl)
{
	switch (config->client_auth) {
	case CLIENT_AUTH_NONE:
		return TLS_VERIFY_NONE;
	case CLIENT_AUTH_OPTIONAL:
		/*
		 * Rules admit no client without a certificate: where the handshake requires one,
		 * the refusal is an alert.
		 */
		return has_acl ? TLS_VERIFY_REQUIRED : TLS_VERIFY_OPTIONAL;
	case CLIENT_AUTH_REQUIRED:
		break;
	}
	return TLS_VERIFY_REQUIRED;
}

static struct tls_context *load_context(
	struct builder *builder, const struct route_config *config, const struct tls_policy *policy)
{
	struct err err;
	struct tls_context *context = tls_store_context(builder->setup->store, policy, &err);
	if (!context)
		report_failure(builder, config, "cert", -1, &err);
	else if (builder_add_once(builder, &builder->contexts, context))
		builder->no_memory |=
			!pointers_add(&builder->routes->contexts, tls_context_ref(context));
	return context;
}

static void build_tls(struct builder *builder, const char *host, const struct route_config *config,
	struct route *route)
{
	struct tls_policy policy = {.min_version = config->min_version,
		.verify = verify_of(config, route->acl != NULL),
		.verify_depth = config->verify_depth,
		.refuse_expired_crl = config->refuse_expired_crl,
		.tickets = config->client_auth == CLIENT_AUTH_NONE};
	unsigned errors = builder->report->errors;
	for (size_t i = 0; i < config->cert.count; i++)
		load_pair(builder, host, config, i, &policy);
	if (policy.verify != TLS_VERIFY_NONE)
		load_trust(builder, config, &policy);
	if (builder->report->errors > errors)
		return;
	route->tls_no_client_auth = route->tls = load_context(builder, config, &policy);
	if (policy.verify == TLS_VERIFY_NONE)
		return;
	struct tls_policy bare = policy;
	bare.verify = TLS_VERIFY_NONE;
	bare.trust = NULL;
	bare.refuse_expired_crl = false;
	bare.verify_depth = 0;
	route->tls_no_client_auth = load_context(builder, config, &bare);
}

static struct strings copy_strings(struct builder *builder, const struct strings *strings)
{
	struct strings copy = {0};
	if (strings->count == 0)
		return copy;
	struct arena *arena = &builder->routes->arena;
	copy.items = arena_alloc(arena, strings->count * sizeof *copy.items);
	for (; copy.items && copy.count < strings->count; copy.count++) {
		const char *text = strings->items[copy.count];
		if (!(copy.items[copy.count] = arena_copy(arena, text, strlen(text))))
			break;
	}
	builder->no_memory |= copy.count < strings->count;
	return copy;
}

static struct acl *build_acl(struct builder *builder, const struct route_config *config)
{
	if (config->client_auth == CLIENT_AUTH_NONE || acl_config_count(&config->acl) == 0)
		return NULL;
	struct err err;
	struct acl *acl = acl_create(&config->acl, &err);
	if (!acl)
		report_failure(builder, config, "acl", -1, &err);
	else
		builder->no_memory |= !pointers_add(&builder->routes->acls, acl);
	return acl;
}

/* Connections from before a reload hold their slots after it. */
static void route_limit(
	struct builder *builder, struct route *route, unsigned max, const char *where)
{
	char key[64];
	route->max_connections = max;
	if (max == 0)
		return;
	struct ticket_binding name = route_ticket_binding(route, where);
	size_t used = (size_t)snprintf(key, sizeof key, "slots ");
	for (size_t i = 0; i < sizeof name.bytes; i++)
		used += (size_t)snprintf(key + used, sizeof key - used, "%02x", name.bytes[i]);
	route->slots = server_state_ref(builder->setup->servers, key);
	builder->no_memory |= !route->slots || !pointers_add(&builder->routes->slots, route->slots);
}

static void report_host_backend(const struct backend_request *request, struct report *report,
	enum severity severity, const char *field, int index, const char *text)
{
	char path[32];
	snprintf(path, sizeof path, "backend.tls.%s", field);
	if (severity == SEVERITY_WARNING)
		route_config_warning(request->route, report, path, index, "%s", text);
	else
		route_config_error(request->route, report, path, index, "%s", text);
}

static void build_route(struct builder *builder, const char *host,
	const struct route_config *config, struct route *route)
{
	route->host = host;
	route_limit(builder, route, config->max_connections, host);
	route->revalidate = config->revalidate;
	route->offer_alpn = copy_strings(builder, &config->offer_alpn);
	struct backend_request request = {
		.config = &config->backend, .report = report_host_backend, .route = config};
	route->backend = build_backend(builder, &request);
	route->acl = build_acl(builder, config);
	if (route->backend)
		route->backend->is_behind_tls |= config->mode == MODE_TERMINATE;
	if (config->mode == MODE_TERMINATE) {
		build_tls(builder, host, config, route);
		errno = 0;
		build_check_coalescing(builder, config, route);
		build_check_binding(builder, config, route);
		builder->ossl_lacks |= errno == ENOMEM;
	}
	if (route->tls && !builder->routes->first_with_certificate)
		builder->routes->first_with_certificate = route;
	builder->routes->route_count++;
}

static bool build_alpn(struct builder *builder, const struct host_config *config, struct host *host)
{
	struct arena *arena = &builder->routes->arena;
	if (config->alpn_count == 0)
		return true;
	host->alpn = arena_alloc(arena, config->alpn_count * sizeof *host->alpn);
	if (!host->alpn)
		return false;
	for (size_t i = 0; i < config->alpn_count; i++) {
		struct span id = config->alpn[i].id;
		char *copy = arena_copy(arena, (const char *)id.data, id.len);
		if (!copy)
			return false;
		host->alpn[i].alpn = span_of(copy, id.len);
		build_route(builder, host->name, &config->alpn[i].route, &host->alpn[i]);
		host->alpn_count++;
	}
	return true;
}

static bool has_certificate(const struct host *host)
{
	for (uint32_t i = 0; i < host->alpn_count; i++)
		if (host->alpn[i].tls)
			return true;
	return host->own && host->own->tls;
}

static bool build_host(struct builder *builder, const struct host_config *config)
{
	struct routes *routes = builder->routes;
	struct host host = {.digest = config->digest,
		.name_len = (uint32_t)strlen(config->name),
		.file = (uint32_t)builder->files.count - 1,
		.line = config->line};
	host.name = arena_copy(&routes->arena, config->name, host.name_len);
	if (!host.name)
		return false;
	if (config->has_route) {
		host.own = arena_alloc(&routes->arena, sizeof *host.own);
		if (!host.own)
			return false;
		build_route(builder, host.name, &config->route, host.own);
	}
	if (!build_alpn(builder, config, &host))
		return false;
	const struct host *added = host_table_add(&routes->hosts, &host);
	return added && (!has_certificate(added) || host_table_add_closest(&routes->hosts, added));
}

static bool note_file(struct builder *builder, const char *file)
{
	struct pointers *files = &builder->files;
	return (files->count > 0 && files->items[files->count - 1] == file) ||
		pointers_add(files, (void *)file);
}

static void on_host(void *owner, const struct host_config *config)
{
	struct builder *builder = owner;
	const struct host *other =
		host_table_get(&builder->routes->hosts, span_of_string(config->name));
	if (other)
		host_config_error(config, builder->report,
			"there is a host of this name already, at %s:%u",
			(const char *)builder->files.items[other->file], other->line);
	else if (!builder->no_memory &&
		(!note_file(builder, config->file) || !build_host(builder, config)))
		builder->no_memory = true;
}

static void note_config_paths(struct builder *builder, const char *path)
{
	const struct config *config = builder->routes->config;
	bool ok = path_set_add(builder->paths, path);
	for (size_t i = 0; config && i < config->files.count; i++)
		ok = ok && path_set_add(builder->paths, config->files.items[i]);
	for (size_t i = 0; config && i < config->include_patterns.count; i++)
		ok = ok && path_set_add(builder->paths, config->include_patterns.items[i]);
	builder->no_memory |= !ok;
}

static void build_forwards(struct builder *builder)
{
	struct routes *routes = builder->routes;
	size_t count = routes->config->forward_count;
	if (count == 0)
		return;
	routes->forwards = arena_alloc(&routes->arena, count * sizeof *routes->forwards);
	for (size_t i = 0; routes->forwards && i < count; i++) {
		const struct forward_config *config = &routes->config->forwards[i];
		struct route *route = &routes->forwards[i];
		struct backend_request request = {.config = &config->target,
			.report = report_backend_at,
			.where = config->where};
		route->host = config->target.servers[0].address;
		route->is_forward = true;
		route_limit(builder, route, config->max_connections, config->listeners[0].address);
		route->offer_alpn = config->alpn;
		route->backend = build_backend(builder, &request);
	}
	builder->no_memory |= !routes->forwards;
}

static void warn_of_groups(struct builder *builder)
{
	const struct tls_groups *groups = tls_store_groups(builder->setup->store);
	if (*groups->missing && builder->routes->contexts.count > 0)
		report_warning(builder->report, "%s: OpenSSL has no %s: key exchange uses %s alone",
			builder->setup->path, groups->missing, groups->available);
}

static void builder_finish(struct builder *builder)
{
	tdestroy(builder->contexts, keep_item);
	tdestroy(builder->warned, keep_item);
	build_backends_finish(builder);
	build_coalescing_finish(builder);
	free(builder->files.items);
}

/* OpenSSL's errors seldom say that memory lacked, and without it a warning may be wrong. */
static void report_lacks(const struct builder *builder)
{
	bool ossl_lacks = builder->ossl_lacks || tls_store_lacks_memory(builder->setup->store);
	if (builder->no_memory || (ossl_lacks && builder->report->errors == 0))
		report_no_memory(builder->report, builder->setup->path);
	if (ossl_lacks)
		report_all_passing(builder->report);
}

struct routes *routes_load(
	const struct routes_setup *setup, struct path_set *paths, struct report *report)
{
	struct routes *routes = calloc(1, sizeof *routes);
	struct builder builder = {
		.setup = setup, .routes = routes, .paths = paths, .report = report};
	if (!routes) {
		report_no_memory(report, setup->path);
		return NULL;
	}
	routes->refs = 1;
	routes->servers = setup->servers;
	pthread_mutex_init(&routes->stats_lock, NULL);
	host_table_init(&routes->hosts);
	tls_store_begin(setup->store);
	routes->config = config_read(setup->path, on_host, &builder, report);
	note_config_paths(&builder, setup->path);
	if (routes->config && !builder.no_memory) {
		build_check_listeners(&builder);
		build_forwards(&builder);
		build_plaintext(&builder);
	}
	host_table_seal(&routes->hosts);
	warn_of_groups(&builder);
	routes->tls_counts = tls_store_counts(setup->store);
	builder_finish(&builder);
	report_lacks(&builder);
	if (routes->config && report->errors == 0)
		return routes;
	tls_store_end(setup->store, false);
	routes_unref(routes);
	return NULL;
}
