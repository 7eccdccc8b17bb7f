/*
 * What each route has carried, over reloads: the first TALLIES_MOST routes that see a connection
 * have a tally each, all others share one, and so do connections that found no route. A million
 * hosts, or a flood of unknown names, so make a bounded number of series; and which of them a
 * connection counts in never changes while its route is configured, so that no series runs
 * backwards.
 *
 * Every worker adds to the same tally, a few times in a connection's life.
 */
#ifndef GATEHOUSE_STATS_ROUTE_STATS_H
#define GATEHOUSE_STATS_ROUTE_STATS_H

#include "route/routes.h"

#define TALLIES_MOST 1000

struct tally {
	const char *host, *alpn; /* "*.example.com" and "ssh", or "" */
	bool is_terminated;
	atomic_ullong connections, errors, up,
		down; /* errors: refused for whatever reason; bytes */
	atomic_uint active;
};

struct tallies;
struct tallies *tallies_create(void);
void tallies_destroy(struct tallies *tallies); /* after the last snapshot */

/* The tally of a route (NULL: of no route). Lent for the life of the snapshot. Never NULL. */
struct tally *tallies_of(struct tallies *tallies, struct routes *routes, struct route *route);

/* A snapshot takes over from the one before: the routes that stay keep what they have counted. */
void tallies_follow(struct tallies *tallies, struct routes *routes);

/* What a snapshot held of them, when it goes (routes.c). */
void tallies_leave(struct routes *routes);

/* All that there are, copied; the last two are "_other" and "_none". The caller frees the rows. */
struct tally_row {
	char host[256], alpn[64]; /* an id that is longer is cut */
	bool is_terminated;
	unsigned long long connections, errors, up, down;
	unsigned active;
};
struct tally_row *tallies_rows(struct tallies *tallies, size_t *count);

#endif
