/*
 * Host names to addresses, without blocking the loop: c-ares (which also reads /etc/hosts), with a
 * cache that lives as long as the records say (at least 1 s, at most 1 h; a failure 5 s; names from
 * /etc/hosts 30 s). A stale answer goes on being used, for at most an hour, while its refresh fails.
 * One resolver belongs to one loop and its thread. Addresses come in the order to try them in
 * (RFC 6724, then the families in turn as RFC 8305 section 4 has it), at most RESOLVER_MAX of them.
 */
#ifndef GATEHOUSE_NET_RESOLVER_H
#define GATEHOUSE_NET_RESOLVER_H

#include "base/err.h"
#include "net/address.h"

#include <ev.h>

#define RESOLVER_MAX 16

struct resolver;
struct lookup; /* a pending question */

struct resolver *resolver_create(struct ev_loop *loop, struct err *err);
void resolver_destroy(struct resolver *resolver); /* NULL is fine; cancels what is pending */

/*
 * `error` is NULL and there is at least one address, or there is none and `error` says why in words
 * ("no such name", "the name server does not answer"). Lent for the call.
 */
typedef void resolved_fn(
	void *owner, const struct address *addresses, size_t count, const char *error);

/*
 * With an answer in the cache `on_resolved` is called before this returns, and it returns NULL.
 * Otherwise it returns a handle, valid until the callback begins or lookup_cancel.
 */
struct lookup *resolver_lookup(struct resolver *resolver, const char *host, uint16_t port,
	resolved_fn *on_resolved, void *owner);
void lookup_cancel(struct lookup *lookup);

#endif
