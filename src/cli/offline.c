#include "cli/offline.h"

bool offline_open(struct offline *offline, const char *path, struct report *report)
{
	struct err err;
	*offline = (struct offline){.store = tls_store_create(&err), .servers = servers_create()};
	if (!offline->store || !offline->servers) {
		report_error(report, "%s", offline->store ? "out of memory" : err.text);
		return false;
	}
	struct routes_setup setup = {path, offline->store, offline->servers};
	offline->routes = routes_load(&setup, &offline->paths, report);
	if (offline->routes)
		tls_store_end(offline->store, true);
	return offline->routes != NULL;
}

void offline_close(struct offline *offline)
{
	routes_unref(offline->routes);
	path_set_finish(&offline->paths);
	servers_destroy(offline->servers);
	tls_store_destroy(offline->store);
	*offline = (struct offline){0};
}
