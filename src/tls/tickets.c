#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct epoch {
	uint8_t name[TICKET_NAME_SIZE];
	uint8_t secret[32];
	bool drawn;
};

struct tickets {
	pthread_rwlock_t lock;
	struct epoch current, previous;
	EVP_CIPHER *cipher;
};

/* What one ticket is sealed with: the halves of HMAC-SHA512(secret, binding). */
struct ticket_keys {
	uint8_t cipher[32], mac[32];
};

/*
 * Deriving costs as much as sealing: each thread keeps the keys of the routes that it saw last. When
 * an epoch ends, the thread's next ticket wipes them all.
 */
#define KEPT_MAX 64
struct kept_keys {
	uint8_t epoch[TICKET_NAME_SIZE];
	struct ticket_binding binding;
	struct ticket_keys keys;
};
static _Thread_local struct {
	uint8_t newest_epoch[TICKET_NAME_SIZE];
	struct kept_keys of[KEPT_MAX];
} kept;

static bool epoch_draw(struct epoch *epoch)
{
	epoch->drawn = RAND_bytes(epoch->name, sizeof epoch->name) == 1 &&
		RAND_priv_bytes(epoch->secret, sizeof epoch->secret) == 1;
	return epoch->drawn;
}

struct tickets *tickets_create(struct err *err)
{
	struct tickets *tickets = calloc(1, sizeof *tickets);
	if (!tickets) {
		err_no_memory(err);
		return NULL;
	}
	pthread_rwlock_init(&tickets->lock, NULL);
	tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!tickets->cipher || !epoch_draw(&tickets->current)) {
		err_set(err, "no random bytes for session ticket keys");
		tickets_destroy(tickets);
		return NULL;
	}
	return tickets;
}

void tickets_destroy(struct tickets *tickets)
{
	if (!tickets)
		return;
	pthread_rwlock_destroy(&tickets->lock);
	EVP_CIPHER_free(tickets->cipher);
	OPENSSL_cleanse(tickets, sizeof *tickets);
	free(tickets);
}

void tickets_rotate(struct tickets *tickets)
{
	struct epoch next;
	if (!epoch_draw(&next))
		return;
	pthread_rwlock_wrlock(&tickets->lock);
	tickets->previous = tickets->current;
	tickets->current = next;
	pthread_rwlock_unlock(&tickets->lock);
	OPENSSL_cleanse(&next, sizeof next);
}

static bool keys_derive(
	const struct epoch *epoch, const struct ticket_binding *binding, struct ticket_keys *keys)
{
	unsigned len = sizeof *keys;
	return HMAC(EVP_sha512(), epoch->secret, sizeof epoch->secret, binding->bytes,
		       sizeof binding->bytes, (uint8_t *)keys, &len) != NULL;
}

static const struct ticket_keys *keys_for(
	const struct epoch *epoch, const struct ticket_binding *binding, bool is_newest)
{
	struct kept_keys *place = &kept.of[(epoch->name[0] ^ binding->bytes[0]) % KEPT_MAX];
	if (is_newest && memcmp(kept.newest_epoch, epoch->name, sizeof epoch->name) != 0) {
		OPENSSL_cleanse(&kept, sizeof kept);
		memcpy(kept.newest_epoch, epoch->name, sizeof epoch->name);
	}
	if (memcmp(place->epoch, epoch->name, sizeof epoch->name) == 0 &&
		memcmp(&place->binding, binding, sizeof *binding) == 0)
		return &place->keys;
	memcpy(place->epoch, epoch->name, sizeof epoch->name);
	place->binding = *binding;
	if (keys_derive(epoch, binding, &place->keys))
		return &place->keys;
	OPENSSL_cleanse(place, sizeof *place);
	return NULL;
}

static bool contexts_init(struct tickets *tickets, const struct ticket_keys *keys,
	const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_MAC_PARAM_KEY, (void *)keys->mac, sizeof keys->mac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_CipherInit_ex2(cipher, tickets->cipher, keys->cipher, iv, seal, NULL) == 1 &&
		EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* The epoch of a name, copied out so that nothing long happens under the lock; 0: unknown. */
static int epoch_find(struct tickets *tickets, const uint8_t *name, struct epoch *out)
{
	int found = 0;
	pthread_rwlock_rdlock(&tickets->lock);
	if (!name || memcmp(name, tickets->current.name, TICKET_NAME_SIZE) == 0) {
		*out = tickets->current;
		found = 1;
	} else if (tickets->previous.drawn &&
		memcmp(name, tickets->previous.name, TICKET_NAME_SIZE) == 0) {
		*out = tickets->previous;
		found = 2;
	}
	pthread_rwlock_unlock(&tickets->lock);
	return found;
}

static int ticket_apply(struct tickets *tickets, const struct ticket_binding *binding,
	struct epoch *epoch, int found, const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
	bool seal)
{
	const struct ticket_keys *keys = keys_for(epoch, binding, found == 1);
	bool ok = keys && contexts_init(tickets, keys, iv, cipher, mac, seal);
	OPENSSL_cleanse(epoch, sizeof *epoch);
	return ok ? found : -1;
}

int tickets_seal(struct tickets *tickets, const struct ticket_binding *binding, uint8_t *name,
	uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct epoch epoch;
	int found = epoch_find(tickets, NULL, &epoch);
	memcpy(name, epoch.name, TICKET_NAME_SIZE);
	if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) != 1)
		return -1;
	return ticket_apply(tickets, binding, &epoch, found, iv, cipher, mac, true);
}

int tickets_open(struct tickets *tickets, const struct ticket_binding *binding, const uint8_t *name,
	const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct epoch epoch;
	int found = epoch_find(tickets, name, &epoch);
	if (found == 0)
		return 0;
	return ticket_apply(tickets, binding, &epoch, found, iv, cipher, mac, false);
}
