/* Snapshots from the text of a configuration, for tests that need no certificates. */
#ifndef GATEHOUSE_TESTS_LOADED_ROUTES_H
#define GATEHOUSE_TESTS_LOADED_ROUTES_H

#include "route/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct route_loader {
	struct tls_store *store;
	struct servers *servers;
};

static inline void route_loader_init(struct route_loader *loader)
{
	struct err err;
	loader->store = tls_store_create(&err);
	loader->servers = servers_create();
	if (!loader->store || !loader->servers)
		abort();
}

static inline void route_loader_finish(struct route_loader *loader)
{
	tls_store_destroy(loader->store);
	servers_destroy(loader->servers);
}

static inline void route_loader_print(
	struct report *report, enum severity severity, const char *text)
{
	(void)report, (void)severity;
	fprintf(stderr, "%s\n", text);
}

/* A reference; NULL, with the errors on standard error, when the text is no configuration. */
static inline struct routes *route_loader_load(struct route_loader *loader, const char *text)
{
	char path[] = "/tmp/gatehouse-unit-XXXXXX";
	int fd = mkstemp(path);
	struct routes_setup setup = {path, loader->store, loader->servers};
	struct report report = {.on_finding = route_loader_print};
	struct path_set paths = {0};
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
	struct routes *routes = routes_load(&setup, &paths, &report);
	if (routes)
		tls_store_end(loader->store, true);
	path_set_finish(&paths);
	unlink(path);
	return routes;
}

#endif
