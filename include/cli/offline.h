/* A configuration loaded by a command that looks at it and ends, while others serve it. */
#ifndef GATEHOUSE_CLI_OFFLINE_H
#define GATEHOUSE_CLI_OFFLINE_H

#include "route/routes.h"

/* All zero: nothing is loaded. */
struct offline {
	struct tls_store *store;
	struct servers *servers;
	struct path_set paths;
	struct routes *routes;
};

/* False after errors, all of them in `report`. To be closed either way. */
bool offline_open(struct offline *offline, const char *path, struct report *report);
void offline_close(struct offline *offline);

#endif
