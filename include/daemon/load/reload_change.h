/* What a reload changes: hosts, listeners, and everything else that the configuration says. */
#ifndef GATEHOUSE_DAEMON_LOAD_RELOAD_CHANGE_H
#define GATEHOUSE_DAEMON_LOAD_RELOAD_CHANGE_H

#include "route/routes.h"

struct reload_change {
	struct routes_change hosts;
	unsigned listeners_opened, listeners_closed; /* of the router and of forwards */
	bool settings_changed; /* something besides hosts and the addresses of listeners */
};

struct reload_change reload_change_of(const struct routes *before, const struct routes *after);

/* The listeners of a configuration: the router's, then those of each forward. */
size_t config_listener_count(const struct config *config);
const struct listener_config *config_listener(const struct config *config, size_t index);

#endif
