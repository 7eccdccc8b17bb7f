/*
 * Routes of what is not TLS: "plaintext" of a listener. Each is known by what comes in, and where: "http@:443",
 * which is no host's name and no server's address.
 */
#ifndef GATEHOUSE_ROUTE_PLAINTEXT_H
#define GATEHOUSE_ROUTE_PLAINTEXT_H

#include "route/routes.h"
#include "wire/plaintext.h"

/* Of a client of that listener of the snapshot; NULL: it is closed. */
struct route *routes_plaintext(
	const struct routes *routes, const struct listener_config *listener, enum plaintext what);

/* The route of that name; NULL: there is none. */
struct route *routes_plaintext_named(const struct routes *routes, const char *name);

/* The one of that index, NULL: there is none of it; and how many indexes there are. */
struct route *routes_plaintext_at(const struct routes *routes, size_t index);
size_t routes_plaintext_count(const struct routes *routes);

#endif
