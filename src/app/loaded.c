#include "app/loaded.h"

bool loaded_open(struct loaded *loaded, const char *path, struct report *report)
{
	struct err err;
	*loaded = (struct loaded){.store = tls_store_create(&err), .servers = servers_create()};
	if (!loaded->store || !loaded->servers) {
		report_error(report, "%s", loaded->store ? "out of memory" : err.text);
		return false;
	}
	struct routes_setup setup = {path, loaded->store, loaded->servers};
	loaded->routes = routes_load(&setup, &loaded->paths, report);
	if (loaded->routes)
		tls_store_end(loaded->store, true);
	return loaded->routes != NULL;
}

void loaded_close(struct loaded *loaded)
{
	routes_unref(loaded->routes);
	path_set_finish(&loaded->paths);
	servers_destroy(loaded->servers);
	tls_store_destroy(loaded->store);
	*loaded = (struct loaded){0};
}
