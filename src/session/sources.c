#include "session/sources.h"

#include "base/clock.h"
#include "base/hash.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS         64
#define BUCKETS_FIRST  64
#define SWEEP_AFTER_US 10000000 /* one that has been quiet for so long has nothing to be held to */

struct source_key {
	uint8_t bytes[9]; /* the family, and 4 or 8 bytes of the address */
};

struct source {
	struct source *next;
	uint64_t refilled_us;
	double tokens;
	unsigned active;
	struct source_key key;
};

struct shard {
	pthread_mutex_t lock;
	struct source **buckets;
	size_t size, count;
};

struct sources {
	struct hash_key hash_key;
	struct shard shards[SHARDS];
};

struct sources *sources_create(void)
{
	struct sources *sources = calloc(1, sizeof *sources);
	if (!sources)
		return NULL;
	sources->hash_key = hash_key_random();
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&sources->shards[i].lock, NULL);
	return sources;
}

void sources_destroy(struct sources *sources)
{
	for (unsigned i = 0; sources && i < SHARDS; i++) {
		struct shard *shard = &sources->shards[i];
		for (size_t at = 0; at < shard->size; at++)
			while (shard->buckets[at]) {
				struct source *source = shard->buckets[at];
				shard->buckets[at] = source->next;
				free(source);
			}
		free(shard->buckets);
		pthread_mutex_destroy(&shard->lock);
	}
	free(sources);
}

static struct source_key key_of(const struct sockaddr *address)
{
	struct source_key key = {{(uint8_t)address->sa_family}};
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	if (address->sa_family == AF_INET) {
		memcpy(key.bytes + 1, &((const struct sockaddr_in *)address)->sin_addr, 4);
	} else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		key.bytes[0] = AF_INET;
		memcpy(key.bytes + 1, v6->sin6_addr.s6_addr + 12, 4);
	} else if (address->sa_family == AF_INET6) {
		memcpy(key.bytes + 1, v6->sin6_addr.s6_addr, 8);
	}
	return key;
}

static bool is_forgettable(const struct source *source, uint64_t now)
{
	return source->active == 0 && now - source->refilled_us > SWEEP_AFTER_US;
}

/* On the way through a bucket, what is no longer needed goes. */
static struct source *shard_find(
	struct shard *shard, size_t at, const struct source_key *key, uint64_t now)
{
	struct source *found = NULL;
	for (struct source **link = &shard->buckets[at]; *link;) {
		struct source *source = *link;
		if (memcmp(&source->key, key, sizeof *key) == 0) {
			found = source;
		} else if (is_forgettable(source, now)) {
			*link = source->next;
			free(source);
			shard->count--;
			continue;
		}
		link = &source->next;
	}
	return found;
}

static bool shard_grow(struct sources *sources, struct shard *shard)
{
	size_t size = shard->size ? shard->size * 2 : BUCKETS_FIRST;
	struct source **buckets = calloc(size, sizeof *buckets);
	if (!buckets)
		return shard->size > 0;
	for (size_t at = 0; at < shard->size; at++)
		while (shard->buckets[at]) {
			struct source *source = shard->buckets[at];
			uint64_t hash =
				hash_bytes(sources->hash_key, &source->key, sizeof source->key);
			shard->buckets[at] = source->next;
			source->next = buckets[hash / SHARDS & (size - 1)];
			buckets[hash / SHARDS & (size - 1)] = source;
		}
	free(shard->buckets);
	shard->buckets = buckets;
	shard->size = size;
	return true;
}

static struct source *find_or_add(struct sources *sources, struct shard *shard, uint64_t hash,
	const struct source_key *key, uint64_t now)
{
	if (shard->count >= shard->size && !shard_grow(sources, shard))
		return NULL;
	size_t at = hash / SHARDS & (shard->size - 1);
	struct source *source = shard_find(shard, at, key, now);
	if (source || !(source = calloc(1, sizeof *source)))
		return source;
	source->key = *key;
	source->next = shard->buckets[at];
	shard->buckets[at] = source;
	shard->count++;
	return source;
}

/* A bucket of tokens: `rate` come in each second, and no more than that lie in it. */
static bool take_token(struct source *source, unsigned rate, uint64_t now)
{
	double since = source->refilled_us ? (double)(now - source->refilled_us) / 1e6 : 1;
	source->refilled_us = now;
	source->tokens += since * rate;
	if (source->tokens > rate)
		source->tokens = rate;
	if (source->tokens < 1)
		return false;
	source->tokens -= 1;
	return true;
}

static enum source_verdict source_decide(
	struct source *source, unsigned most, unsigned rate, uint64_t now)
{
	if (!source)
		return SOURCE_NO_MEMORY;
	if (rate > 0 && !take_token(source, rate, now))
		return SOURCE_TOO_FAST;
	if (most > 0 && source->active >= most)
		return SOURCE_TOO_MANY;
	source->refilled_us = now;
	source->active++;
	return SOURCE_ADMITTED;
}

enum source_verdict sources_enter(
	struct sources *sources, const struct sockaddr *address, unsigned most, unsigned rate)
{
	struct source_key key = key_of(address);
	uint64_t hash = hash_bytes(sources->hash_key, &key, sizeof key), now = clock_now_us();
	struct shard *shard = &sources->shards[hash % SHARDS];
	pthread_mutex_lock(&shard->lock);
	struct source *source = find_or_add(sources, shard, hash, &key, now);
	enum source_verdict verdict = source_decide(source, most, rate, now);
	pthread_mutex_unlock(&shard->lock);
	return verdict;
}

void sources_leave(struct sources *sources, const struct sockaddr *address)
{
	struct source_key key = key_of(address);
	uint64_t hash = hash_bytes(sources->hash_key, &key, sizeof key);
	struct shard *shard = &sources->shards[hash % SHARDS];
	pthread_mutex_lock(&shard->lock);
	struct source *source =
		shard_find(shard, hash / SHARDS & (shard->size - 1), &key, clock_now_us());
	if (source && source->active > 0)
		source->active--;
	pthread_mutex_unlock(&shard->lock);
}
