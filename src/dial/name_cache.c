#include "dial/name_cache.h"

#include <stdlib.h>
#include <string.h>

#define SECOND     UINT64_C(1000000)
#define LIFE_ERROR (5 * SECOND)
#define LIFE_STALE (3600 * SECOND)

void name_cache_init(
	struct name_cache *cache, name_event_fn *on_added, name_event_fn *on_removed, void *owner)
{
	*cache = (struct name_cache){
		.on_added = on_added,
		.on_removed = on_removed,
		.owner = owner,
		.key = hash_key_random(),
	};
	ring_init(&cache->recent);
}

static struct name **bucket_find(struct name_cache *cache, const char *text, uint64_t hash)
{
	struct name **place = &cache->buckets[hash % NAME_CACHE_BUCKETS];
	while (*place && ((*place)->hash != hash || strcmp((*place)->text, text) != 0))
		place = &(*place)->next_in_bucket;
	return place;
}

static void name_remove(struct name_cache *cache, struct name *name)
{
	cache->on_removed(cache->owner, name);
	*bucket_find(cache, name->text, name->hash) = name->next_in_bucket;
	ring_remove(&name->ring);
	cache->count--;
	free(name);
}

void name_cache_finish(struct name_cache *cache)
{
	while (!ring_is_empty(&cache->recent))
		name_remove(cache, (struct name *)cache->recent.next);
}

static void cache_make_room(struct name_cache *cache)
{
	struct ring *at = cache->recent.prev;
	while (cache->count >= NAME_CACHE_MAX && at != &cache->recent) {
		struct name *name = (struct name *)at;
		at = at->prev;
		if (name->holds == 0)
			name_remove(cache, name);
	}
}

static struct name *name_add(struct name_cache *cache, const char *text, uint64_t hash)
{
	size_t size = strlen(text) + 1;
	cache_make_room(cache);
	struct name *name = calloc(1, sizeof *name + size);
	if (!name)
		return NULL;
	memcpy(name->text, text, size);
	name->hash = hash;
	struct name **place = bucket_find(cache, text, hash);
	name->next_in_bucket = *place;
	*place = name;
	ring_insert_after(&cache->recent, &name->ring);
	cache->count++;
	cache->on_added(cache->owner, name);
	return name;
}

struct name *name_cache_use(struct name_cache *cache, const char *text)
{
	uint64_t hash = hash_bytes(cache->key, text, strlen(text));
	struct name *name = *bucket_find(cache, text, hash);
	if (!name)
		return name_add(cache, text, hash);
	ring_remove(&name->ring);
	ring_insert_after(&cache->recent, &name->ring);
	return name;
}

bool name_has_answer(const struct name *name, uint64_t now)
{
	return now < name->fresh_until || (name->is_stale_good && now < name->usable_until);
}

bool name_has_stale_answer(const struct name *name, uint64_t now)
{
	return name->count > 0 && now < name->usable_until;
}

static void keep_addresses(struct name *name, const struct dns_answer *answer, uint64_t now)
{
	memcpy(name->addresses, answer->addresses, answer->count * sizeof *answer->addresses);
	name->count = answer->count;
	name->error = NULL;
	name->is_stale_good = false;
	name->fresh_until = now + answer->life_us;
	name->ask_at = now + answer->life_us - answer->life_us / 10;
	name->usable_until = name->fresh_until + LIFE_STALE;
}

/*
 * Of all failures "no such name" alone replaces an answer: c-ares says that there is no address also
 * when one of its two questions failed.
 */
static void keep_failure(struct name *name, const struct dns_answer *answer, uint64_t now)
{
	name->ask_at = now + LIFE_ERROR;
	name->is_stale_good = !answer->is_no_name && name_has_stale_answer(name, now);
	if (name->is_stale_good)
		return;
	name->fresh_until = name->ask_at;
	name->count = 0;
	name->error = answer->error;
}

void name_keep_answer(struct name *name, const struct dns_answer *answer, uint64_t now)
{
	if (answer->error)
		keep_failure(name, answer, now);
	else
		keep_addresses(name, answer, now);
}
