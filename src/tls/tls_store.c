#include "tls/tls_store.h"

#include "base/strbuf.h"
#include "tls/cert/keypair_check.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

enum kind { KIND_CREDENTIAL, KIND_TRUST, KIND_CONTEXT, KIND_CLIENT, KIND_PEER };

/* One thing loaded; found by its kind and a key of bytes. */
struct item {
	enum kind kind;
	struct strbuf key;
	unsigned generation; /* of the load that last used it */
	void *object;        /* of the kind's type; the store has one reference */
	struct item *next;
};

struct tls_store {
	struct tickets *tickets;
	struct tls_groups groups;
	unsigned prepared;                 /* a bit for each class of policies that OpenSSL took */
	struct credential_readers readers; /* its issuers are of one load: NULL between two */
	struct keypair_check *keypair_check; /* of one load; NULL until it is needed */
	void *index;                         /* a tree (tsearch) over `items` */
	struct item *items;
	unsigned generation;
	struct tls_store_counts counts;
	bool lacks_memory; /* of this load */
};

static int item_compare(const void *one, const void *other)
{
	const struct item *a = one, *b = other;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->key.len != b->key.len)
		return a->key.len < b->key.len ? -1 : 1;
	return memcmp(a->key.at, b->key.at, a->key.len);
}

static void object_unref(enum kind kind, void *object)
{
	switch (kind) {
	case KIND_CREDENTIAL:
		credential_unref(object);
		break;
	case KIND_TRUST:
		trust_unref(object);
		break;
	case KIND_CONTEXT:
		tls_context_unref(object);
		break;
	case KIND_CLIENT:
		tls_client_unref(object);
		break;
	case KIND_PEER:
		tls_peer_unref(object);
		break;
	}
}

/* Whether its files are still what was loaded, which is not looked at twice in one load. */
static bool item_is_current(const struct tls_store *store, const struct item *item)
{
	if (item->generation == store->generation)
		return true;
	switch (item->kind) {
	case KIND_CREDENTIAL:
		return credential_is_current(item->object);
	case KIND_TRUST:
		return trust_is_current(item->object);
	case KIND_CONTEXT:
	case KIND_CLIENT:
	case KIND_PEER:
		break;
	}
	return true;
}

static void item_free(struct item *item)
{
	object_unref(item->kind, item->object);
	strbuf_finish(&item->key);
	free(item);
}

struct tls_store *tls_store_create(struct err *err)
{
	struct tls_store *store = calloc(1, sizeof *store);
	err_no_memory(err);
	if (store && (store->readers.keys = key_reader_create()) != NULL &&
		(store->tickets = tickets_create(err)) != NULL) {
		if (tls_groups_find(&store->groups))
			return store;
		err_no_memory(err);
	}
	tls_store_destroy(store);
	return NULL;
}

static void store_drop_before(struct tls_store *store, unsigned generation)
{
	for (struct item **at = &store->items; *at;) {
		struct item *item = *at;
		if (item->generation >= generation) {
			at = &item->next;
			continue;
		}
		*at = item->next;
		tdelete(item, &store->index, item_compare);
		item_free(item);
	}
}

void tls_store_destroy(struct tls_store *store)
{
	if (!store)
		return;
	store_drop_before(store, store->generation + 1);
	tickets_destroy(store->tickets);
	key_reader_destroy(store->readers.keys);
	issuers_destroy(store->readers.issuers);
	keypair_check_destroy(store->keypair_check);
	free(store);
}

struct tickets *tls_store_tickets(struct tls_store *store)
{
	return store->tickets;
}

const struct tls_groups *tls_store_groups(const struct tls_store *store)
{
	return &store->groups;
}

void tls_store_begin(struct tls_store *store)
{
	store->generation++;
	store->lacks_memory = false;
	if (!store->readers.issuers)
		store->readers.issuers = issuers_create();
	store->counts = (struct tls_store_counts){.changed = store->counts.changed};
}

void tls_store_end(struct tls_store *store, bool published)
{
	keypair_check_destroy(store->keypair_check);
	store->keypair_check = NULL;
	issuers_destroy(store->readers.issuers);
	store->readers.issuers = NULL;
	if (!published)
		return;
	store_drop_before(store, store->generation);
	store->counts.changed = false;
}

static void key_add(struct strbuf *key, const void *data, size_t len)
{
	strbuf_append(key, data, len);
}

/* With its NUL, which ends it among others. */
static void key_add_text(struct strbuf *key, const char *text)
{
	key_add(key, text, strlen(text) + 1);
}

static struct item *store_find(struct tls_store *store, enum kind kind, const struct strbuf *key)
{
	struct item wanted = {.kind = kind, .key = *key};
	struct item **found = tfind(&wanted, &store->index, item_compare);
	return found ? *found : NULL;
}

static void item_use(struct tls_store *store, struct item *item)
{
	if (item->kind == KIND_CREDENTIAL && item->generation != store->generation)
		store->counts.credentials++;
	item->generation = store->generation;
}

/* What is there already and may be used by this load; NULL: it is to be made, and added. */
static void *store_use(struct tls_store *store, enum kind kind, const struct strbuf *key)
{
	struct item *item = key->failed ? NULL : store_find(store, kind, key);
	if (!item || !item_is_current(store, item))
		return NULL;
	item_use(store, item);
	return item->object;
}

/* A new item without an object; takes the key over. NULL: no memory. */
static struct item *store_insert(struct tls_store *store, enum kind kind, struct strbuf *key)
{
	struct item *item = key->failed ? NULL : calloc(1, sizeof *item);
	if (!item)
		return NULL;
	item->kind = kind;
	item->key = *key;
	item->generation = store->generation - 1; /* not used yet */
	if (!tsearch(item, &store->index, item_compare)) {
		free(item);
		return NULL;
	}
	char *fitted = realloc(key->at, key->len); /* there may be many thousands */
	if (fitted)
		item->key.at = fitted;
	*key = (struct strbuf){0};
	item->next = store->items;
	store->items = item;
	return item;
}

/*
 * Adds what was made, in place of an older one of that key; takes the reference and returns it, lent.
 * NULL: `object` is NULL, or there is no memory.
 */
static void *store_add(
	struct tls_store *store, enum kind kind, struct strbuf *key, void *object, struct err *err)
{
	if (!object)
		return NULL;
	struct item *item = key->failed ? NULL : store_find(store, kind, key);
	if (!item)
		item = store_insert(store, kind, key);
	if (!item) {
		err_no_memory(err);
		object_unref(kind, object);
		return NULL;
	}
	if (kind == KIND_CREDENTIAL && item->object)
		store->counts.renewed++;
	object_unref(kind, item->object);
	item->object = object;
	item_use(store, item);
	return object;
}

/*
 * OpenSSL seldom says that memory was the cause of an error, and some of its functions do not even fail. malloc(3)
 * leaves ENOMEM, which nothing takes back.
 */

static void watch_memory(void)
{
	errno = 0;
}

static void note_memory(struct tls_store *store)
{
	store->lacks_memory |= errno == ENOMEM;
}

bool tls_store_lacks_memory(const struct tls_store *store)
{
	return store->lacks_memory;
}

struct credential *tls_store_credential(struct tls_store *store, const char *cert_path,
	const char *key_path, enum credential_part *at_fault, struct err *err)
{
	struct strbuf key = {0};
	key_add_text(&key, cert_path);
	key_add_text(&key, key_path);
	struct credential *credential = store_use(store, KIND_CREDENTIAL, &key);
	if (!credential) {
		watch_memory();
		credential = credential_load(cert_path, key_path, &store->readers, at_fault, err);
		note_memory(store);
		credential = store_add(store, KIND_CREDENTIAL, &key, credential, err);
		store->counts.parsed += credential != NULL;
		store->counts.changed |= credential != NULL;
	}
	strbuf_finish(&key);
	return credential;
}

struct trust *tls_store_trust(struct tls_store *store, const struct trust_files *files,
	enum trust_part *at_fault, int *index, struct err *err)
{
	struct strbuf key = {0};
	for (size_t i = 0; i < files->ca_count; i++)
		key_add_text(&key, files->ca[i]);
	key_add_text(&key, "");
	for (size_t i = 0; i < files->crl_count; i++)
		key_add_text(&key, files->crl[i]);
	struct trust *trust = store_use(store, KIND_TRUST, &key);
	if (!trust) {
		watch_memory();
		trust = trust_load(files, at_fault, index, err);
		note_memory(store);
		trust = store_add(store, KIND_TRUST, &key, trust, err);
		store->counts.trusts_parsed += trust != NULL;
		store->counts.changed |= trust != NULL;
	}
	strbuf_finish(&key);
	return trust;
}

/* Equal pointers mean equal files: the store hands out one object for each. */
static void key_add_policy(struct strbuf *key, const struct tls_policy *policy)
{
	unsigned numbers[] = {policy->min_version, policy->verify, policy->verify_depth,
		policy->refuse_expired_crl, policy->tickets};
	key_add(key, numbers, sizeof numbers);
	key_add(key, &policy->trust, sizeof policy->trust);
	key_add(key, policy->credentials, policy->credential_count * sizeof *policy->credentials);
}

static bool check_keypairs(
	struct tls_store *store, const struct tls_policy *policy, struct err *err)
{
	if (!store->keypair_check && !(store->keypair_check = keypair_check_create(err)))
		return false;
	for (size_t i = 0; i < policy->credential_count; i++)
		if (!keypair_check_passes(store->keypair_check, policy->credentials[i], err))
			return false;
	return true;
}

/*
 * Contexts are made when they are needed, but what OpenSSL refuses is an error of the load: the first
 * one of each class is made at once. A class has everything of a policy but its files, which have been
 * read and checked.
 */
static bool check_class(struct tls_store *store, struct tls_context *context, struct err *err)
{
	const struct tls_policy *policy = &context->policy;
	unsigned class = (policy->min_version == TLS1_3_VERSION) | (policy->tickets ? 2u : 0) |
		(unsigned)policy->verify << 2;
	if (store->prepared & 1u << class)
		return true;
	if (!*store->groups.available) {
		err_set(err, "OpenSSL has none of the groups %s for key exchange",
			store->groups.missing);
		return false;
	}
	if (!tls_context_prepare(context, err))
		return false;
	store->prepared |= 1u << class;
	return true;
}

static struct tls_context *context_make(
	struct tls_store *store, const struct tls_policy *policy, struct err *err)
{
	struct tls_context *context =
		tls_context_create(policy, store->tickets, &store->groups, err);
	if (!context || check_class(store, context, err))
		return context;
	tls_context_unref(context);
	return NULL;
}

struct tls_context *tls_store_context(
	struct tls_store *store, const struct tls_policy *policy, struct err *err)
{
	struct strbuf key = {0};
	key_add_policy(&key, policy);
	struct tls_context *context = store_use(store, KIND_CONTEXT, &key);
	watch_memory();
	if (!context && check_keypairs(store, policy, err))
		context =
			store_add(store, KIND_CONTEXT, &key, context_make(store, policy, err), err);
	note_memory(store);
	strbuf_finish(&key);
	return context;
}

static void key_add_client_policy(struct strbuf *key, const struct tls_client_policy *policy)
{
	unsigned numbers[] = {policy->min_version, policy->unverified, policy->refuse_expired_crl};
	key_add(key, numbers, sizeof numbers);
	key_add(key, &policy->trust, sizeof policy->trust);
	key_add(key, &policy->credential, sizeof policy->credential);
	key_add(key, policy->pins.sha256, policy->pins.count * sizeof *policy->pins.sha256);
}

struct tls_client *tls_store_client(
	struct tls_store *store, const struct tls_client_policy *policy, struct err *err)
{
	struct strbuf key = {0};
	key_add_client_policy(&key, policy);
	struct tls_client *client = store_use(store, KIND_CLIENT, &key);
	if (!client) {
		watch_memory();
		client = tls_client_create(policy, err);
		note_memory(store);
		client = store_add(store, KIND_CLIENT, &key, client, err);
	}
	strbuf_finish(&key);
	return client;
}

struct tls_peer *tls_store_peer(struct tls_store *store, struct tls_client *client,
	const char *address, const char *name, struct err *err)
{
	struct strbuf key = {0};
	key_add(&key, &client, sizeof client);
	key_add_text(&key, address);
	key_add_text(&key, name);
	struct tls_peer *peer = store_use(store, KIND_PEER, &key);
	if (!peer) {
		watch_memory();
		peer = tls_peer_create(client, name, err);
		note_memory(store);
		peer = store_add(store, KIND_PEER, &key, peer, err);
	}
	strbuf_finish(&key);
	return peer;
}

struct tls_store_counts tls_store_counts(const struct tls_store *store)
{
	return store->counts;
}
