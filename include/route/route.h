/*
 * A route: where the connections of one name with one protocol, or of one forward, go. Part of a
 * snapshot.
 */
#ifndef GATEHOUSE_ROUTE_ROUTE_H
#define GATEHOUSE_ROUTE_ROUTE_H

#include "tls/tickets.h"
#include "upstream/backend.h"

struct acl;
struct route_stats;
struct routes;
struct tls_context;

struct route {
	const char *host; /* the key in the configuration: "*.example.com" */
	struct span alpn; /* the key of its "alpn" entry; empty: the host itself */
	struct strings offer_alpn;
	struct tls_context *tls;                /* NULL: passthrough */
	struct tls_context *tls_no_client_auth; /* the same, without requesting a certificate */
	struct backend *backend;                /* NULL: plaintext HTTP is redirected */
	struct acl *acl;                        /* NULL: every verified certificate */
	unsigned max_connections;
	bool revalidate;
	bool is_forward;            /* plain in, TLS out; `offer_alpn` is for the server then */
	bool is_plaintext;          /* of "plaintext" of a listener (route/plaintext.h) */
	atomic_bool drained;        /* by the administrator: no new connections */
	struct server_state *slots; /* its `active` is held to max_connections; NULL: no limit */
	/*
	 * What it has carried, once it has (route/routes_stats). With `drained` and
	 * `kept` all that changes here.
	 */
	_Atomic(struct route_stats *) stats;
	struct routes *kept; /* its copy (route/kept_route), under a lock; NULL: none yet */
};

/* "terminate", "passthrough", "forward", "plaintext", "redirect" */
const char *route_mode_name(const struct route *route);

/*
 * For tickets: equal as long as a resumption would be judged the same. A wildcard's names have one
 * each, because a TLS 1.2 session belongs to the name that it began with (RFC 6066 section 3).
 */
struct ticket_binding route_ticket_binding(const struct route *route, const char *server_name);

#endif
