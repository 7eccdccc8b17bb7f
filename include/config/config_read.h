/*
 * Reads the configuration file and checks it field by field. Everything that can be judged without
 * opening another file is judged here (types, names, ranges, unknown and duplicate keys);
 * certificates and CAs are judged where they are loaded.
 *
 * Hosts are passed to the caller one at a time, so that a million of them never stand in memory as
 * a tree.
 */
#ifndef GATEHOUSE_CONFIG_CONFIG_READ_H
#define GATEHOUSE_CONFIG_CONFIG_READ_H

#include "base/report.h"
#include "config/config.h"

/*
 * Reads `path` and what it includes. Each valid host is handed to `on_host` (NULL: only check);
 * errors go to `report`, all of them. Returns what the file says besides its hosts, or NULL when
 * there was any error in the configuration (hosts may have been passed to `on_host` all the same).
 * The caller frees it.
 */
struct config *config_read(
	const char *path, config_host_fn *on_host, void *owner, struct report *report);
void config_free(struct config *config);

/* A configuration that has the same time limits and limits of connections, and nothing else. NULL: no memory. */
struct config *config_of_limits(const struct config *config);

#endif
