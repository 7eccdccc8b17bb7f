#include "session/keep_route.h"

#include "route/kept_route.h"
#include "session/cancel_keys.h"

bool session_keep_route(struct session *session)
{
	struct service *service = session->service;
	struct routes *before = session->routes;
	struct route *route;
	if (!session->relay || before == service->routes || routes_is_kept(before))
		return false;
	struct routes *kept =
		routes_keep(service->limits->route_stats, before, session->route, &route);
	if (!kept)
		return false;
	cancel_keys_move(service->limits->cancel_keys, session->cancel_key, kept, route);
	session->routes = kept;
	session->route = route;
	session->listener_config = NULL;
	routes_unref(before);
	return true;
}
