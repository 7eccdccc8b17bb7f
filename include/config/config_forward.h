/* "forwards": the client side, plain connections in and TLS out. */
#ifndef GATEHOUSE_CONFIG_CONFIG_FORWARD_H
#define GATEHOUSE_CONFIG_CONFIG_FORWARD_H

#include "config/config.h"
#include "config/read/fields.h"

field_get forwards_field; /* struct config: its forwards */

#endif
