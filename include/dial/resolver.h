/*
 * Host names to addresses, without blocking the loop: c-ares (which also reads /etc/hosts), with a
 * cache that lives as long as the records say (at least 1 s, at most 1 h; a failure 5 s; names from
 * /etc/hosts 30 s). A name in use is asked for again shortly before its answer expires. An expired
 * answer stays in use, for at most an hour, while no server answers or they fail; "no such name"
 * replaces it (RFC 8767). The cache keeps the 10,000 names that were used last (dial/name_cache.h).
 *
 * One resolver belongs to one loop and its thread. Equal questions asked at the same time become
 * one. Addresses come in the order to try them in (RFC 6724, then the families in turn as RFC 8305
 * section 4 has it), at most RESOLVER_MAX of them. A resolv.conf that has changed is read
 * again before the next question.
 */
#ifndef GATEHOUSE_DIAL_RESOLVER_H
#define GATEHOUSE_DIAL_RESOLVER_H

#include "base/err.h"
#include "dial/dns.h"
#include "net/address.h"

#include <ev.h>

#define RESOLVER_MAX DNS_ADDRESSES_MAX

struct resolver;
struct lookup; /* a pending question */

/* `source` NULL: /etc/resolv.conf and port 53; its path is lent for the life of the resolver. */
struct resolver *resolver_create(
	struct ev_loop *loop, const struct dns_source *source, struct err *err);

/* NULL is fine. What is pending is dropped without a call. Never from within a resolved_fn. */
void resolver_destroy(struct resolver *resolver);

/*
 * `error` is NULL and there is at least one address, or there is none and `error` says why in words
 * ("no such name", "the name server does not answer"). Lent for the call, which may look up other
 * names and cancel other lookups.
 */
typedef void resolved_fn(
	void *owner, const struct address *addresses, size_t count, const char *error);

/*
 * `host` is a name or an IP literal; a single trailing dot keeps the search list of resolv.conf
 * out. When the answer is at hand `on_resolved` is called before this returns, and it returns NULL.
 * Otherwise it returns a handle, valid until the callback begins or lookup_cancel.
 */
struct lookup *resolver_lookup(struct resolver *resolver, const char *host, uint16_t port,
	resolved_fn *on_resolved, void *owner);
void lookup_cancel(struct lookup *lookup); /* NULL is fine */

/* How many names the cache holds. */
size_t resolver_names(const struct resolver *resolver);

#endif
