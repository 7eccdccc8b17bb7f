#include "route/backend_key.h"
#include "route/routes.h"
#include "route/routes_builder.h"
#include "tls/cert/credential_check.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

struct shared_backend {
	struct span key; /* all that the configuration says of it; behind this struct */
	struct backend *backend;
};

static int compare_keys(const void *one, const void *other)
{
	struct span a = ((const struct shared_backend *)one)->key;
	struct span b = ((const struct shared_backend *)other)->key;
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return memcmp(a.data, b.data, a.len);
}

void build_backends_finish(struct builder *builder)
{
	tdestroy(builder->backends, free);
	strbuf_finish(&builder->backend_key);
}

void report_backend_at(const struct backend_request *request, struct report *report,
	enum severity severity, const char *field, int index, const char *text)
{
	const char *under = request->under ? request->under : "";
	char item[16] = "";
	if (index >= 0)
		snprintf(item, sizeof item, "[%d]", index);
	if (severity == SEVERITY_WARNING)
		report_warning(report, "%s%s.%s%s: %s", request->where, under, field, item, text);
	else
		report_error(report, "%s%s.%s%s: %s", request->where, under, field, item, text);
}

static void report_field(struct builder *builder, const struct backend_request *request,
	const char *field, int index, const struct err *err)
{
	request->report(request, builder->report, SEVERITY_ERROR, field, index, err->text);
	report_cause(builder->report, err);
}

struct pair_place {
	struct builder *builder;
	const struct backend_request *request;
};

static void warn_of_pair(void *owner, enum credential_part part, const char *text)
{
	const struct pair_place *place = owner;
	place->request->report(place->request, place->builder->report, SEVERITY_WARNING,
		part == CREDENTIAL_CERT ? "cert" : "key", -1, text);
}

static bool load_credential(struct builder *builder, const struct backend_request *request,
	struct tls_client_policy *policy)
{
	const struct client_tls_config *tls = &request->config->tls;
	enum credential_part at_fault;
	struct err err;
	if (!tls->cert)
		return true;
	builder->no_memory |=
		!path_set_add(builder->paths, tls->cert) || !path_set_add(builder->paths, tls->key);
	policy->credential =
		tls_store_credential(builder->setup->store, tls->cert, tls->key, &at_fault, &err);
	if (!policy->credential)
		report_field(
			builder, request, at_fault == CREDENTIAL_CERT ? "cert" : "key", -1, &err);
	struct pair_place place = {builder, request};
	if (policy->credential && builder_add_once(builder, &builder->warned, policy->credential))
		credential_check(policy->credential, time(NULL), warn_of_pair, &place);
	return policy->credential != NULL;
}

static bool load_trust(struct builder *builder, const struct backend_request *request,
	struct tls_client_policy *policy)
{
	const struct client_tls_config *tls = &request->config->tls;
	struct trust_files files = {(const char *const *)tls->ca.items,
		(const char *const *)tls->crl.items, tls->ca.count, tls->crl.count};
	enum trust_part at_fault;
	int index;
	struct err err;
	if (files.ca_count == 0)
		return true;
	for (size_t i = 0; i < files.ca_count; i++)
		builder->no_memory |= !path_set_add(builder->paths, files.ca[i]);
	for (size_t i = 0; i < files.crl_count; i++)
		builder->no_memory |= !path_set_add(builder->paths, files.crl[i]);
	policy->trust = tls_store_trust(builder->setup->store, &files, &at_fault, &index, &err);
	if (!policy->trust) {
		bool is_ca = at_fault == TRUST_CA;
		report_field(builder, request, is_ca ? "ca" : "crl",
			(is_ca ? files.ca_count : files.crl_count) > 1 ? index : -1, &err);
	} else if (trust_has_expired_crl(policy->trust, time(NULL))) {
		request->report(request, builder->report, SEVERITY_WARNING, "crl", -1,
			tls->refuse_expired_crl ? TRUST_EXPIRED_CRL ": servers are refused"
						: TRUST_EXPIRED_CRL);
	}
	return policy->trust != NULL;
}

/* "" for a path without "server_name", which only the health check of a passthrough has. */
static const char *name_of(
	const struct client_tls_config *tls, const char *address, struct endpoint *endpoint)
{
	struct err ignored;
	if (tls->server_name)
		return tls->server_name;
	if (!endpoint_parse(address, endpoint, &ignored))
		return address;
	return endpoint->is_unix ? "" : endpoint->host;
}

/* One peer for each server, as that kind of client. */
static void add_peers(struct builder *builder, const struct backend_request *request,
	struct backend *backend, const struct tls_client_policy *policy)
{
	const struct backend_config *config = request->config;
	struct tls_store *store = builder->setup->store;
	struct err err;
	struct tls_client *client = tls_store_client(store, policy, &err);
	for (unsigned i = 0; client && i < backend->count; i++) {
		struct server *server = &backend->servers[i];
		struct endpoint endpoint;
		const char *name = name_of(&config->tls, server->text, &endpoint);
		struct tls_peer *peer = tls_store_peer(store, client, server->text, name, &err);
		if (!peer)
			report_field(builder, request, "server_name", -1, &err);
		if (peer && !policy->unverified)
			server->tls = tls_peer_ref(peer);
		if (peer && config->health == HEALTH_TLS)
			server->tls_check = tls_peer_ref(peer);
	}
	if (!client)
		report_field(builder, request, "ca", -1, &err);
}

static void backend_add_tls(
	struct builder *builder, const struct backend_request *request, struct backend *backend)
{
	struct tls_client_policy policy = {.min_version = request->config->tls.min_version,
		.refuse_expired_crl = request->config->tls.refuse_expired_crl};
	if (load_credential(builder, request, &policy) && load_trust(builder, request, &policy))
		add_peers(builder, request, backend, &policy);
}

/* Servers that speak TLS with the clients themselves: whether one answers is all that is asked. */
static void backend_add_tls_checks(
	struct builder *builder, const struct backend_request *request, struct backend *backend)
{
	struct tls_client_policy policy = {.min_version = 0x0303, .unverified = true};
	add_peers(builder, request, backend, &policy);
}

static struct backend *backend_make(struct builder *builder, const struct backend_request *request)
{
	const struct backend_config *config = request->config;
	struct routes *routes = builder->routes;
	struct backend *backend = backend_create(&routes->arena, builder->setup->servers, config);
	if (!backend || !pointers_add(&routes->backends, backend))
		return NULL;
	if (config->has_tls)
		backend_add_tls(builder, request, backend);
	else if (config->health == HEALTH_TLS)
		backend_add_tls_checks(builder, request, backend);
	return backend;
}

static struct shared_backend *backend_share(struct builder *builder, struct span key)
{
	struct shared_backend *shared = malloc(sizeof *shared + key.len);
	if (!shared)
		return NULL;
	shared->key = span_of(memcpy(shared + 1, key.data, key.len), key.len);
	if (tsearch(shared, &builder->backends, compare_keys))
		return shared;
	free(shared);
	return NULL;
}

struct backend *build_backend(struct builder *builder, const struct backend_request *request)
{
	struct strbuf *text = &builder->backend_key;
	text->len = 0;
	backend_key(request->config, text);
	struct shared_backend wanted = {.key = span_of(text->at, text->len)};
	struct shared_backend **found =
		text->failed ? NULL : tfind(&wanted, &builder->backends, compare_keys);
	if (found)
		return (*found)->backend;
	struct shared_backend *shared = text->failed ? NULL : backend_share(builder, wanted.key);
	if (shared)
		shared->backend = backend_make(builder, request);
	builder->no_memory |= !shared || !shared->backend;
	return shared ? shared->backend : NULL;
}
