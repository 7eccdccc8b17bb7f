/*
 * Keys to cancel by. A protocol such as PostgreSQL gives each connection a key, by which another connection asks
 * the server to stop what the first one does (preface/preface.h, TALK_CANCEL). The other connection may arrive at
 * any worker and without a name, so that each client is given a key of ours, of the same length as the
 * server's: a number that leads to an entry of this table, and random bytes. The entry has the server and its
 * key, and ends with its session.
 *
 * One table for all workers, in parts with a lock each; bounded. A lock is taken when a key is issued, withdrawn
 * or used, never for the bytes of a relay.
 */
#ifndef GATEHOUSE_SESSION_CANCEL_KEYS_H
#define GATEHOUSE_SESSION_CANCEL_KEYS_H

#include "net/address.h"
#include "preface/preface.h"
#include "route/routes.h"

struct cancel_keys;
struct cancel_key; /* an entry */

/* Where a key leads. */
struct cancel_target {
	struct routes *routes; /* a reference */
	struct route *route;
	int server;    /* of the route's backend */
	bool is_every; /* the servers behind it too: the key may be of any of them */
	const struct preface *preface;
	struct address address; /* of that server, where it is known by a name; else len is 0 */
	uint8_t key[PREFACE_KEY_MAX];
	size_t len; /* of the key */
};

struct cancel_keys *cancel_keys_create(void); /* NULL: no memory */
void cancel_keys_destroy(struct cancel_keys *keys);

/*
 * Writes a key of target->len bytes, at least eight, to `out`, and takes target->routes. NULL: no room or no
 * memory; then nothing is taken, and `out` is random and leads nowhere. `part`: any number that spreads, such as
 * a worker's.
 */
struct cancel_key *cancel_keys_issue(
	struct cancel_keys *keys, unsigned part, const struct cancel_target *target, uint8_t *out);

/* It leads to a copy of its route; takes a reference. NULL is fine. */
void cancel_keys_move(struct cancel_keys *keys, struct cancel_key *key, struct routes *routes,
	struct route *route);

void cancel_keys_withdraw(struct cancel_keys *keys, struct cancel_key *key);

/*
 * A copy, with a reference of its own; false: there is no such key. The time does not depend on how many
 * bytes of it are right. `route`: of this one alone, as any
 * snapshot has it; NULL: of any.
 */
bool cancel_keys_find(struct cancel_keys *keys, struct span key, const struct route *route,
	struct cancel_target *out);

#endif
