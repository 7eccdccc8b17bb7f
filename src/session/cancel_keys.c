#include "session/cancel_keys.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define PARTS      64u
#define PART_BITS  6
#define SLOTS_MAX  4096u /* of a part */
#define SLOT_BITS  12
#define SLOTS_MIN  16u
#define NUMBER_LEN 4 /* bytes of a key that are the number; PostgreSQL has a process id there */

struct cancel_key {
	unsigned part, slot;
	uint8_t issued[PREFACE_KEY_MAX];
	struct cancel_target target;
};

struct part {
	pthread_mutex_t lock;
	struct cancel_key **slots;
	unsigned size, used;
	unsigned next; /* where the search for a free one begins */
};

struct cancel_keys {
	struct part parts[PARTS];
};

struct cancel_keys *cancel_keys_create(void)
{
	struct cancel_keys *keys = calloc(1, sizeof *keys);
	for (unsigned i = 0; keys && i < PARTS; i++)
		pthread_mutex_init(&keys->parts[i].lock, NULL);
	return keys;
}

void cancel_keys_destroy(struct cancel_keys *keys)
{
	for (unsigned i = 0; keys && i < PARTS; i++) {
		pthread_mutex_destroy(&keys->parts[i].lock);
		free(keys->parts[i].slots);
	}
	free(keys);
}

/* The number is positive, as a process id is: slot, part, and random bits above them. */

static uint32_t number_of(const uint8_t *key)
{
	return (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
}

static void write_number(const struct cancel_key *key, uint8_t *out)
{
	uint32_t low = key->part << SLOT_BITS | key->slot;
	uint32_t mask = (1u << (PART_BITS + SLOT_BITS)) - 1;
	uint32_t number = ((number_of(out) & ~mask) | low) & 0x7fffffff;
	out[0] = (uint8_t)(number >> 24);
	out[1] = (uint8_t)(number >> 16);
	out[2] = (uint8_t)(number >> 8);
	out[3] = (uint8_t)number;
}

static bool fill_random(uint8_t *out, size_t len)
{
	return getrandom(out, len, 0) == (ssize_t)len;
}

static bool part_grow(struct part *part)
{
	unsigned size = part->size ? 2 * part->size : SLOTS_MIN;
	struct cancel_key **slots = realloc(part->slots, size * sizeof *slots);
	if (!slots)
		return false;
	for (unsigned i = part->size; i < size; i++)
		slots[i] = NULL;
	part->slots = slots;
	part->next = part->size;
	part->size = size;
	return true;
}

/* Under the part's lock. Half of the slots are free, or the part has grown to its end. */
static bool part_take_slot(struct part *part, struct cancel_key *key)
{
	bool is_crowded = 2 * part->used >= part->size;
	if (is_crowded && part->size < SLOTS_MAX && !part_grow(part) && part->size == 0)
		return false;
	if (part->used == part->size)
		return false;
	while (part->slots[part->next % part->size])
		part->next++;
	key->slot = part->next++ % part->size;
	part->slots[key->slot] = key;
	part->used++;
	return true;
}

/* In this part, or in the next one that has room. */
static bool keys_add(struct cancel_keys *keys, unsigned at, struct cancel_key *key, uint8_t *out)
{
	bool is_added = false;
	for (unsigned i = 0; i < PARTS && !is_added; i++) {
		key->part = (at + i) % PARTS;
		struct part *part = &keys->parts[key->part];
		pthread_mutex_lock(&part->lock);
		is_added = part_take_slot(part, key);
		if (is_added) {
			write_number(key, out);
			memcpy(key->issued, out, key->target.len);
		}
		pthread_mutex_unlock(&part->lock);
	}
	return is_added;
}

struct cancel_key *cancel_keys_issue(
	struct cancel_keys *keys, unsigned part, const struct cancel_target *target, uint8_t *out)
{
	struct cancel_key *key = malloc(sizeof *key);
	bool is_random = fill_random(out, target->len);
	if (key)
		key->target = *target;
	if (key && is_random && keys_add(keys, part, key, out))
		return key;
	if (!is_random)
		memset(out, 0, target->len);
	out[0] &= 0x7f;
	free(key);
	return NULL;
}

void cancel_keys_move(struct cancel_keys *keys, struct cancel_key *key, struct routes *routes,
	struct route *route)
{
	if (!key)
		return;
	struct part *part = &keys->parts[key->part];
	pthread_mutex_lock(&part->lock);
	struct routes *before = key->target.routes;
	key->target.routes = routes_ref(routes);
	key->target.route = route;
	pthread_mutex_unlock(&part->lock);
	routes_unref(before);
}

void cancel_keys_withdraw(struct cancel_keys *keys, struct cancel_key *key)
{
	if (!key)
		return;
	struct part *part = &keys->parts[key->part];
	pthread_mutex_lock(&part->lock);
	part->slots[key->slot] = NULL;
	part->used--;
	pthread_mutex_unlock(&part->lock);
	routes_unref(key->target.routes);
	free(key);
}

/* In a time that depends on the length alone. */
static bool is_same_key(const struct cancel_key *key, struct span given)
{
	uint8_t difference = 0;
	if (key->target.len != given.len)
		return false;
	for (size_t i = 0; i < given.len; i++)
		difference |= key->issued[i] ^ given.data[i];
	return difference == 0;
}

/* Under whatever snapshot. */
static bool is_same_route(const struct route *one, const struct route *other)
{
	return one->is_forward == other->is_forward && strcmp(one->host, other->host) == 0 &&
		span_equal(one->alpn, other->alpn);
}

bool cancel_keys_find(struct cancel_keys *keys, struct span given, const struct route *route,
	struct cancel_target *out)
{
	if (given.len <= NUMBER_LEN)
		return false;
	uint32_t number = number_of(given.data);
	struct part *part = &keys->parts[number >> SLOT_BITS & (PARTS - 1)];
	unsigned slot = number & (SLOTS_MAX - 1);
	pthread_mutex_lock(&part->lock);
	const struct cancel_key *key = slot < part->size ? part->slots[slot] : NULL;
	bool is_found = key && is_same_key(key, given);
	if (is_found && route)
		is_found = is_same_route(key->target.route, route);
	if (is_found) {
		*out = key->target;
		routes_ref(out->routes);
	}
	pthread_mutex_unlock(&part->lock);
	return is_found;
}
