#include "dial/resolver.h"

#include "base/clock.h"
#include "dial/name_cache.h"

#include <ares.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 254 /* 253, and a trailing dot */

/* How long a lookup waits for a fresh answer while there is a stale one (RFC 8767 section 5). */
#define PATIENCE_SECONDS 1.8

struct lookup {
	struct ring ring; /* in its name's `waiting`, or in the resolver's `ready` */
	struct name *name;
	uint16_t port;
	resolved_fn *on_resolved;
	void *owner;
};

struct resolver {
	struct ev_loop *loop;
	struct dns *dns;
	ev_prepare delivery; /* never started: fed when `ready` has lookups to call back */
	struct ring ready;
	struct name_cache cache;
};

/* Calling back. */

static struct address address_of(const struct in6_addr *ip, uint16_t port)
{
	struct address address = {0};
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		address.len = sizeof address.v4;
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		memcpy(&address.v4.sin_addr, ip->s6_addr + 12, 4);
	} else {
		address.len = sizeof address.v6;
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		address.v6.sin6_addr = *ip;
	}
	return address;
}

/* From a copy: `name` may leave the cache while the callback runs. */
static void call_back(const struct name *name, uint16_t port, resolved_fn *on_resolved, void *owner)
{
	struct address addresses[RESOLVER_MAX];
	size_t count = name->count;
	for (size_t i = 0; i < count; i++)
		addresses[i] = address_of(&name->addresses[i], port);
	on_resolved(owner, addresses, count, count ? NULL : name->error);
}

/* Outside c-ares, so that a callback may start another lookup. */
static void on_delivery(struct ev_loop *loop, ev_prepare *delivery, int events)
{
	struct resolver *resolver = delivery->data;
	(void)loop, (void)events;
	while (!ring_is_empty(&resolver->ready)) {
		struct ring *first = resolver->ready.next;
		struct lookup lookup = *(struct lookup *)first;
		ring_remove(first);
		free(first);
		lookup.name->holds--;
		call_back(lookup.name, lookup.port, lookup.on_resolved, lookup.owner);
	}
}

static void name_wake_lookups(struct name *name)
{
	struct resolver *resolver = name->resolver;
	ev_timer_stop(resolver->loop, &name->patience);
	if (ring_is_empty(&name->waiting))
		return;
	while (!ring_is_empty(&name->waiting)) {
		struct ring *first = name->waiting.next;
		ring_remove(first);
		ring_insert_after(resolver->ready.prev, first);
	}
	ev_feed_event(resolver->loop, &resolver->delivery, EV_CUSTOM);
}

/* Names. */

/* From now on the stale answer serves at once, until there is a fresh one. */
static void on_patience_ended(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct name *name = timer->data;
	(void)loop, (void)events;
	name->is_stale_good = true;
	name_wake_lookups(name);
}

static void on_name_added(void *owner, struct name *name)
{
	name->resolver = owner;
	ring_init(&name->waiting);
	ev_timer_init(&name->patience, on_patience_ended, PATIENCE_SECONDS, 0.0);
	name->patience.data = name;
}

static void drop_lookups(struct ring *ring)
{
	while (!ring_is_empty(ring))
		lookup_cancel((struct lookup *)ring->next);
}

static void on_name_removed(void *owner, struct name *name)
{
	struct resolver *resolver = owner;
	drop_lookups(&name->waiting);
	ev_timer_stop(resolver->loop, &name->patience);
}

static void on_answer(void *owner, const struct dns_answer *answer)
{
	struct name *name = owner;
	name->is_asking = false;
	name->holds--;
	name_keep_answer(name, answer, clock_now_us());
	name_wake_lookups(name);
}

static void name_ask(struct name *name)
{
	struct resolver *resolver = name->resolver;
	name->is_asking = true;
	name->holds++;
	dns_ask(resolver->dns, name->text, on_answer, name);
}

/* Lookups. */

static bool parse_literal(const char *host, struct in6_addr *out)
{
	struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (inet_pton(AF_INET6, host, out) == 1)
		return true;
	*out = mapped;
	return inet_pton(AF_INET, host, out->s6_addr + 12) == 1;
}

/* Lower case, so that equal questions are one; a trailing dot makes it another question. */
static bool fold_name(const char *host, char out[NAME_MAX_LEN + 1])
{
	size_t len = strlen(host);
	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i <= len; i++)
		out[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]);
	return true;
}

static struct lookup *lookup_add(
	struct name *name, uint16_t port, resolved_fn *on_resolved, void *owner)
{
	struct resolver *resolver = name->resolver;
	struct lookup *lookup = malloc(sizeof *lookup);
	if (!lookup)
		return NULL;
	lookup->name = name;
	lookup->port = port;
	lookup->on_resolved = on_resolved;
	lookup->owner = owner;
	ring_insert_after(name->waiting.prev, &lookup->ring);
	name->holds++;
	if (name_has_stale_answer(name, clock_now_us()) && !ev_is_active(&name->patience))
		ev_timer_start(resolver->loop, &name->patience);
	return lookup;
}

static struct lookup *lookup_fail(resolved_fn *on_resolved, void *owner, int status)
{
	on_resolved(owner, NULL, 0, dns_error_text(status));
	return NULL;
}

struct lookup *resolver_lookup(struct resolver *resolver, const char *host, uint16_t port,
	resolved_fn *on_resolved, void *owner)
{
	struct in6_addr literal;
	if (parse_literal(host, &literal)) {
		struct address address = address_of(&literal, port);
		on_resolved(owner, &address, 1, NULL);
		return NULL;
	}
	char text[NAME_MAX_LEN + 1];
	if (!fold_name(host, text))
		return lookup_fail(on_resolved, owner, ARES_EBADNAME);
	struct name *name = name_cache_use(&resolver->cache, text);
	if (!name)
		return lookup_fail(on_resolved, owner, ARES_ENOMEM);
	if (!name->is_asking && clock_now_us() >= name->ask_at)
		name_ask(name);
	if (name_has_answer(name, clock_now_us())) {
		call_back(name, port, on_resolved, owner);
		return NULL;
	}
	struct lookup *lookup = lookup_add(name, port, on_resolved, owner);
	return lookup ? lookup : lookup_fail(on_resolved, owner, ARES_ENOMEM);
}

void lookup_cancel(struct lookup *lookup)
{
	if (!lookup)
		return;
	ring_remove(&lookup->ring);
	lookup->name->holds--;
	free(lookup);
}

size_t resolver_names(const struct resolver *resolver)
{
	return resolver->cache.count;
}

/* Life and end. */

struct resolver *resolver_create(
	struct ev_loop *loop, const struct dns_source *source, struct err *err)
{
	struct resolver *resolver = calloc(1, sizeof *resolver);
	err_set(err, "out of memory");
	if (!resolver || !(resolver->dns = dns_create(loop, source, err))) {
		err_prefix(err, "cannot start the resolver: ");
		free(resolver);
		return NULL;
	}
	resolver->loop = loop;
	ring_init(&resolver->ready);
	name_cache_init(&resolver->cache, on_name_added, on_name_removed, resolver);
	ev_prepare_init(&resolver->delivery, on_delivery);
	resolver->delivery.data = resolver;
	return resolver;
}

void resolver_destroy(struct resolver *resolver)
{
	if (!resolver)
		return;
	dns_destroy(resolver->dns);
	ev_clear_pending(resolver->loop, &resolver->delivery);
	drop_lookups(&resolver->ready);
	name_cache_finish(&resolver->cache);
	free(resolver);
}
