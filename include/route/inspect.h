/* What `check`, `explain` and administrators need of a snapshot, and connections do not. */
#ifndef GATEHOUSE_ROUTE_INSPECT_H
#define GATEHOUSE_ROUTE_INSPECT_H

#include "route/routes.h"

/* Of all certificates that are served, the one that expires first; NULL: there are none. */
const struct credential *routes_first_to_expire(const struct routes *routes);

/* Every route, its host's first, then those of its protocols, then forwards, then plaintext; until false. */
typedef bool routes_visit_fn(void *owner, const struct route *route);
void routes_each(const struct routes *routes, routes_visit_fn *visit, void *owner);

/* "none", "optional", "required": whether client certificates are requested; NULL: passthrough. */
const char *route_client_auth_name(const struct route *route);

#endif
