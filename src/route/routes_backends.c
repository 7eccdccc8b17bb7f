#include "route/routes.h"
#include "route/routes_builder.h"

#include <search.h>
#include <stdlib.h>

struct shared_backend {
	struct buf key; /* all that the configuration says of it */
	struct backend *backend;
};

static int compare(const void *one, const void *other)
{
	const struct shared_backend *a = one, *b = other;
	if (a->key.end != b->key.end)
		return a->key.end < b->key.end ? -1 : 1;
	return memcmp(a->key.data, b->key.data, a->key.end);
}

static void shared_backend_free(void *item)
{
	struct shared_backend *shared = item;
	free(shared->key.data);
	free(shared);
}

void build_backends_finish(struct builder *builder)
{
	tdestroy(builder->backends, shared_backend_free);
}

static bool key_add(struct buf *key, const void *data, size_t len)
{
	uint8_t *more = realloc(key->data, key->end + len);
	if (!more)
		return false;
	memcpy(more + key->end, data, len);
	key->data = more;
	key->end += len;
	return true;
}

static bool key_add_text(struct buf *key, const char *text)
{
	return key_add(key, text ? text : "", text ? strlen(text) + 1 : 1);
}

static bool key_add_tls(struct buf *key, const struct client_tls_config *tls)
{
	bool ok = key_add(key, &tls->min_version, sizeof tls->min_version) &&
		key_add_text(key, tls->server_name) && key_add_text(key, tls->cert) &&
		key_add_text(key, tls->key);
	for (size_t i = 0; i < tls->ca.count; i++)
		ok = ok && key_add_text(key, tls->ca.items[i]);
	return ok;
}

static bool key_of(struct buf *key, const struct backend_config *config)
{
	uint64_t numbers[] = {config->balance, config->proxy_protocol, (uintptr_t)config->starttls,
		config->has_tls, config->health, config->health_interval_ms,
		config->health_timeout_ms, config->health_rise, config->health_fall};
	bool ok = key_add(key, numbers, sizeof numbers);
	for (size_t i = 0; i < config->count; i++)
		ok = ok && key_add_text(key, config->servers[i].address) &&
			key_add(key, &config->servers[i].backup, sizeof(bool));
	return ok && (!config->has_tls || key_add_tls(key, &config->tls));
}

/* A backend of TLS servers. */

static void complain(struct builder *builder, const struct backend_request *request,
	const char *field, int index, const char *text)
{
	request->complain(request, builder->report, field, index, text);
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
		complain(builder, request, at_fault == CREDENTIAL_CERT ? "cert" : "key", -1,
			err.text);
	return policy->credential != NULL;
}

static bool load_trust(struct builder *builder, const struct backend_request *request,
	struct tls_client_policy *policy)
{
	const struct strings *ca = &request->config->tls.ca;
	struct trust_files files = {.ca = (const char *const *)ca->items, .ca_count = ca->count};
	enum trust_part at_fault;
	int index;
	struct err err;
	if (ca->count == 0)
		return true;
	for (size_t i = 0; i < ca->count; i++)
		builder->no_memory |= !path_set_add(builder->paths, ca->items[i]);
	policy->trust = tls_store_trust(builder->setup->store, &files, &at_fault, &index, &err);
	if (!policy->trust)
		complain(builder, request, "ca", ca->count > 1 ? index : -1, err.text);
	return policy->trust != NULL;
}

static const char *name_of(
	const struct client_tls_config *tls, const char *address, struct endpoint *endpoint)
{
	struct err ignored;
	if (tls->server_name)
		return tls->server_name;
	return endpoint_parse(address, endpoint, &ignored) ? endpoint->host : address;
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
		builder->no_memory |= !peer;
		if (peer && !policy->unverified)
			server->tls = tls_peer_ref(peer);
		if (peer && config->health == HEALTH_TLS)
			server->tls_check = tls_peer_ref(peer);
	}
	if (!client)
		complain(builder, request, "ca", -1, err.text);
}

static void secure(
	struct builder *builder, const struct backend_request *request, struct backend *backend)
{
	struct tls_client_policy policy = {.min_version = request->config->tls.min_version};
	if (load_credential(builder, request, &policy) && load_trust(builder, request, &policy))
		add_peers(builder, request, backend, &policy);
}

/* Servers that speak TLS with the clients themselves: whether one answers is all that is asked. */
static void check_by_tls(
	struct builder *builder, const struct backend_request *request, struct backend *backend)
{
	struct tls_client_policy policy = {.min_version = 0x0303, .unverified = true};
	add_peers(builder, request, backend, &policy);
}

static struct backend *make(struct builder *builder, const struct backend_request *request)
{
	const struct backend_config *config = request->config;
	struct routes *routes = builder->routes;
	struct backend *backend = backend_create(&routes->arena, builder->setup->servers, config);
	if (!backend || !pointers_add(&routes->backends, backend))
		return NULL;
	if (config->has_tls)
		secure(builder, request, backend);
	else if (config->health == HEALTH_TLS)
		check_by_tls(builder, request, backend);
	return backend;
}

struct backend *build_backend(struct builder *builder, const struct backend_request *request)
{
	struct shared_backend wanted = {0};
	bool ok = key_of(&wanted.key, request->config);
	struct shared_backend **found = ok ? tfind(&wanted, &builder->backends, compare) : NULL;
	if (found) {
		free(wanted.key.data);
		return (*found)->backend;
	}
	struct shared_backend *shared = ok ? malloc(sizeof *shared) : NULL;
	wanted.backend = shared ? make(builder, request) : NULL;
	if (shared)
		*shared = wanted;
	if (wanted.backend && tsearch(shared, &builder->backends, compare))
		return wanted.backend;
	free(wanted.key.data);
	free(shared);
	builder->no_memory = true;
	return NULL;
}
