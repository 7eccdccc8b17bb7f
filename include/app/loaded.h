/* A configuration loaded once, for a command that looks at it and ends. */
#ifndef GATEHOUSE_APP_LOADED_H
#define GATEHOUSE_APP_LOADED_H

#include "route/routes.h"

/* All zero is nothing loaded. */
struct loaded {
	struct tls_store *store;
	struct servers *servers;
	struct path_set paths;
	struct routes *routes;
};

/* False after errors, all of them in `report`. To be closed either way. */
bool loaded_open(struct loaded *loaded, const char *path, struct report *report);
void loaded_close(struct loaded *loaded);

#endif
