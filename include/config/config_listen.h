/* The fields that say where connections come in. */
#ifndef GATEHOUSE_CONFIG_CONFIG_LISTEN_H
#define GATEHOUSE_CONFIG_CONFIG_LISTEN_H

#include "config/config.h"
#include "config/read/fields.h"

struct listener_list {
	struct listener_config *items;
	size_t count;
};

field_get listen_field; /* struct listener_list: a string, or a list of strings and objects */
field_item item_listen_address; /* ":443" "127.0.0.1:443" "[::1]:443" "unix:/path" "fd:NAME" */
field_item item_admin_address;  /* the same without "fd:NAME" */

/* Every address once: over `listen`, the forwards and the two admin servers. */
void listeners_check_unique(struct reader *reader, const struct config *config);

#endif
