#include "tls/tls_store.h"

#include "tls/cert/keypair_check.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_CREDENTIAL, KIND_TRUST, KIND_CONTEXT, KIND_CLIENT, KIND_PEER };

/* One thing loaded; found by its kind and a key of bytes. */
struct item {
	enum kind kind;
	struct buf key;
	unsigned generation; /* of the load that last asked for it */
	union {
		struct credential *credential;
		struct trust *trust;
		struct tls_context *context;
		struct tls_client *client;
		struct tls_peer *peer;
	};
	struct item *next;
};

struct tls_store {
	struct tickets *tickets;
	struct credential_readers readers;   /* its issuers are of one load: NULL between two */
	struct keypair_check *keypair_check; /* of one load; NULL until it is needed */
	void *index;                         /* a tree (tsearch) over `entries` */
	struct item *entries;
	unsigned generation;
	struct tls_store_counts counts;
};

static int compare(const void *one, const void *other)
{
	const struct item *a = one, *b = other;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->key.end != b->key.end)
		return a->key.end < b->key.end ? -1 : 1;
	return memcmp(a->key.data, b->key.data, a->key.end);
}

static void release(struct item *entry)
{
	switch (entry->kind) {
	case KIND_CREDENTIAL:
		credential_unref(entry->credential);
		break;
	case KIND_TRUST:
		trust_unref(entry->trust);
		break;
	case KIND_CONTEXT:
		tls_context_unref(entry->context);
		break;
	case KIND_CLIENT:
		tls_client_unref(entry->client);
		break;
	case KIND_PEER:
		tls_peer_unref(entry->peer);
		break;
	}
}

static void entry_free(struct item *entry)
{
	release(entry);
	free(entry->key.data);
	free(entry);
}

struct tls_store *tls_store_create(struct err *err)
{
	struct tls_store *store = calloc(1, sizeof *store);
	if (store && (store->readers.keys = key_reader_create()) != NULL) {
		if ((store->tickets = tickets_create(err)) != NULL)
			return store;
	} else {
		err_set(err, "out of memory");
	}
	tls_store_destroy(store);
	return NULL;
}

static void keep_entries_since(struct tls_store *store, unsigned generation)
{
	for (struct item **at = &store->entries; *at;) {
		struct item *entry = *at;
		if (entry->generation >= generation) {
			at = &entry->next;
			continue;
		}
		*at = entry->next;
		tdelete(entry, &store->index, compare);
		entry_free(entry);
	}
}

void tls_store_destroy(struct tls_store *store)
{
	if (!store)
		return;
	keep_entries_since(store, store->generation + 1);
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

void tls_store_begin(struct tls_store *store)
{
	store->generation++;
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
	keep_entries_since(store, store->generation);
	store->counts.changed = false;
}

static void key_add(struct buf *key, const void *data, size_t len)
{
	uint8_t *more = realloc(key->data, key->end + len);
	if (!more)
		abort(); /* a few hundred bytes */
	memcpy(more + key->end, data, len);
	key->data = more;
	key->end += len;
}

static void key_add_text(struct buf *key, const char *text)
{
	key_add(key, text, strlen(text) + 1);
}

static struct item *find(struct tls_store *store, enum kind kind, const struct buf *key)
{
	struct item wanted = {.kind = kind, .key = *key};
	struct item **found = tfind(&wanted, &store->index, compare);
	return found ? *found : NULL;
}

/* Takes the key over. */
static struct item *insert(struct tls_store *store, enum kind kind, struct buf *key)
{
	struct item *entry = calloc(1, sizeof *entry);
	if (!entry)
		abort();
	entry->kind = kind;
	entry->key = *key;
	key->data = NULL;
	entry->next = store->entries;
	store->entries = entry;
	if (!tsearch(entry, &store->index, compare))
		abort();
	return entry;
}

static struct credential *credential_refresh(struct tls_store *store, struct item **entry,
	struct buf *key, enum credential_part *at_fault, struct err *err)
{
	const char *cert_path = (const char *)key->data;
	const char *key_path = cert_path + strlen(cert_path) + 1;
	if (*entry && credential_is_current((*entry)->credential))
		return (*entry)->credential;
	struct credential *loaded =
		credential_load(cert_path, key_path, &store->readers, at_fault, err);
	if (!loaded)
		return NULL;
	store->counts.parsed++;
	store->counts.changed = true;
	if (*entry) {
		store->counts.renewed++;
		release(*entry);
	} else {
		*entry = insert(store, KIND_CREDENTIAL, key);
	}
	return (*entry)->credential = loaded;
}

struct credential *tls_store_credential(struct tls_store *store, const char *cert_path,
	const char *key_path, enum credential_part *at_fault, struct err *err)
{
	struct buf key = {0};
	key_add_text(&key, cert_path);
	key_add_text(&key, key_path);
	struct item *entry = find(store, KIND_CREDENTIAL, &key);
	struct credential *credential = NULL;
	if (entry && entry->generation == store->generation)
		credential = entry->credential;
	else if ((credential = credential_refresh(store, &entry, &key, at_fault, err)) != NULL) {
		store->counts.credentials++;
		entry->generation = store->generation;
	}
	free(key.data);
	return credential;
}

struct trust *tls_store_trust(struct tls_store *store, const struct trust_files *files,
	enum trust_part *at_fault, int *index, struct err *err)
{
	struct buf key = {0};
	for (size_t i = 0; i < files->ca_count; i++)
		key_add_text(&key, files->ca[i]);
	key_add_text(&key, "");
	for (size_t i = 0; i < files->crl_count; i++)
		key_add_text(&key, files->crl[i]);
	struct item *entry = find(store, KIND_TRUST, &key);
	bool current =
		entry && (entry->generation == store->generation || trust_is_current(entry->trust));
	if (!current) {
		struct trust *loaded = trust_load(files, at_fault, index, err);
		if (loaded && entry)
			release(entry);
		else if (loaded)
			entry = insert(store, KIND_TRUST, &key);
		else
			entry = NULL;
		if (loaded) {
			entry->trust = loaded;
			store->counts.trusts_parsed++;
			store->counts.changed = true;
		}
	}
	if (entry)
		entry->generation = store->generation;
	free(key.data);
	return entry ? entry->trust : NULL;
}

/* Equal pointers mean equal files: the store hands out one object for each. */
static void policy_key(struct buf *key, const struct tls_policy *policy)
{
	unsigned numbers[] = {policy->min_version, policy->verify, policy->verify_depth,
		policy->refuse_expired_crl, policy->tickets};
	key_add(key, numbers, sizeof numbers);
	key_add(key, &policy->trust, sizeof policy->trust);
	for (size_t i = 0; i < policy->credential_count; i++)
		key_add(key, &policy->credentials[i], sizeof policy->credentials[i]);
}

static bool passes(struct tls_store *store, const struct tls_policy *policy, struct err *err)
{
	if (!store->keypair_check && !(store->keypair_check = keypair_check_create())) {
		err_set(err, "out of memory");
		return false;
	}
	for (size_t i = 0; i < policy->credential_count; i++)
		if (!keypair_check_passes(store->keypair_check, policy->credentials[i], err))
			return false;
	return true;
}

struct tls_context *tls_store_context(
	struct tls_store *store, const struct tls_policy *policy, struct err *err)
{
	struct buf key = {0};
	policy_key(&key, policy);
	struct item *entry = find(store, KIND_CONTEXT, &key);
	if (!entry) {
		struct tls_context *context = NULL;
		if (passes(store, policy, err))
			context = tls_context_create(policy, store->tickets, err);
		if (context) {
			entry = insert(store, KIND_CONTEXT, &key);
			entry->context = context;
		}
	}
	if (entry)
		entry->generation = store->generation;
	free(key.data);
	return entry ? entry->context : NULL;
}

struct tls_client *tls_store_client(
	struct tls_store *store, const struct tls_client_policy *policy, struct err *err)
{
	struct buf key = {0};
	key_add(&key, &policy->min_version, sizeof policy->min_version);
	key_add(&key, &policy->unverified, sizeof policy->unverified);
	key_add(&key, &policy->trust, sizeof policy->trust);
	key_add(&key, &policy->credential, sizeof policy->credential);
	struct item *entry = find(store, KIND_CLIENT, &key);
	if (!entry) {
		struct tls_client *client = tls_client_create(policy, err);
		if (client) {
			entry = insert(store, KIND_CLIENT, &key);
			entry->client = client;
		}
	}
	if (entry)
		entry->generation = store->generation;
	free(key.data);
	return entry ? entry->client : NULL;
}

struct tls_peer *tls_store_peer(struct tls_store *store, struct tls_client *client,
	const char *address, const char *name, struct err *err)
{
	struct buf key = {0};
	key_add(&key, &client, sizeof client);
	key_add_text(&key, address);
	key_add_text(&key, name);
	struct item *entry = find(store, KIND_PEER, &key);
	if (!entry) {
		struct tls_peer *peer = tls_peer_create(client, name, err);
		if (peer) {
			entry = insert(store, KIND_PEER, &key);
			entry->peer = peer;
		}
	}
	if (entry)
		entry->generation = store->generation;
	free(key.data);
	return entry ? entry->peer : NULL;
}

struct tls_store_counts tls_store_counts(const struct tls_store *store)
{
	return store->counts;
}
