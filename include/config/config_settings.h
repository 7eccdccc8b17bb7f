/* What a configuration says besides its hosts: the fields of its outermost object. */
#ifndef GATEHOUSE_CONFIG_CONFIG_SETTINGS_H
#define GATEHOUSE_CONFIG_CONFIG_SETTINGS_H

#include "config/config.h"
#include "config/read/fields.h"

/* Over a struct config. "hosts" is among them with field_later: config_read reads it. */
const struct field *settings_fields(void);

/* The same of an included file, which has "hosts" alone. */
const struct field *settings_included(void);

void settings_default(struct config *config);

#endif
