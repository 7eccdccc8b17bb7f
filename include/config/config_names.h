/*
 * The words of the configuration for its values, from the very tables that it is read by. Static.
 */
#ifndef GATEHOUSE_CONFIG_CONFIG_NAMES_H
#define GATEHOUSE_CONFIG_CONFIG_NAMES_H

#include "config/config.h"

/* config_backend.c */
const char *balance_name(enum balance balance);
const char *proxy_out_name(enum proxy_out version); /* NULL: PROXY_OUT_NONE */

/* config_route.c */
const char *mode_name(enum route_mode mode);
const char *client_auth_name(enum client_auth client_auth);

#endif
