/*
 * What an administrator takes out of use for a while: a host gets no new connections, a server is
 * not chosen for any. Those that live go on. Marks in a snapshot, which the next one does not
 * inherit by itself: daemon/publish sets them again.
 */
#ifndef GATEHOUSE_ROUTE_DRAIN_H
#define GATEHOUSE_ROUTE_DRAIN_H

#include "route/routes.h"

/* How many routes, or places in backends, have that name; 0: there is none. */
size_t routes_drain_host(struct routes *routes, const char *host, bool drained);
size_t routes_drain_server(struct routes *routes, const char *server, bool drained);

#endif
