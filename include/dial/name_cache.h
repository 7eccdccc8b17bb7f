/*
 * A cache of names with their addresses, or the reason why there are none. It keeps the NAME_CACHE_MAX
 * names that were used last; those that are held stay, so that for a time there may be more.
 */
#ifndef GATEHOUSE_DIAL_NAME_CACHE_H
#define GATEHOUSE_DIAL_NAME_CACHE_H

#include "base/hash.h"
#include "base/ring.h"
#include "dial/dns_answer.h"

#include <ev.h>

#define NAME_CACHE_MAX     10000
#define NAME_CACHE_BUCKETS 1024

/*
 * A name and what is known of it: addresses (IPv4 as v4-mapped), or why there are none. Times are those
 * of clock_now_us.
 *
 *     now < fresh_until                        the answer is used
 *     is_stale_good and now < usable_until     so is an expired one, as asking brought nothing
 *     now >= ask_at                            a use asks again
 */
struct name {
	struct ring ring; /* in the cache */
	struct name *next_in_bucket;
	uint64_t hash;
	size_t holds; /* while there are any, it stays */

	uint64_t ask_at, fresh_until, usable_until;
	bool is_stale_good;
	const char *error; /* NULL when there are addresses */
	size_t count;
	struct in6_addr addresses[DNS_ADDRESSES_MAX];

	/* The resolver's. */
	void *resolver;
	bool is_asking;
	struct ring waiting;
	ev_timer patience;

	char text[];
};

/* A name enters the cache with nothing known, or is about to leave it. */
typedef void name_event_fn(void *owner, struct name *name);

struct name_cache {
	name_event_fn *on_added, *on_removed;
	void *owner;
	struct ring recent; /* all names, the one used last in front */
	size_t count;
	struct hash_key key;
	struct name *buckets[NAME_CACHE_BUCKETS];
};

void name_cache_init(
	struct name_cache *cache, name_event_fn *on_added, name_event_fn *on_removed, void *owner);

/* Frees all names, held or not. */
void name_cache_finish(struct name_cache *cache);

/* Found or added, and marked as used just now; the text is in lower case. NULL: no memory. */
struct name *name_cache_use(struct name_cache *cache, const char *text);

void name_keep_answer(struct name *name, const struct dns_answer *answer, uint64_t now);

/* Whether there is something to answer with at once, be it an error. */
bool name_has_answer(const struct name *name, uint64_t now);

/* Whether there are addresses, fresh or expired, that may serve while no server answers. */
bool name_has_stale_answer(const struct name *name, uint64_t now);

#endif
