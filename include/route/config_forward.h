/* "forwards": the client side, plain connections in and TLS out. */
#ifndef GATEHOUSE_ROUTE_CONFIG_FORWARD_H
#define GATEHOUSE_ROUTE_CONFIG_FORWARD_H

#include "route/config_fields.h"

field_get forwards_field; /* struct config: its forwards */

#endif
