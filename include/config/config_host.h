/* One member of "hosts": a name, what to do for it, and what else for some protocols. */
#ifndef GATEHOUSE_CONFIG_CONFIG_HOST_H
#define GATEHOUSE_CONFIG_CONFIG_HOST_H

#include "config/config.h"
#include "config/read/fields.h"

/* `value` is the host's text as a tree, `end` where that text ends. True: it is valid and was
 * handed to `on_host`, if there is one. */
struct host_reading {
	struct reader *reader;
	const struct place *place; /* its key is the name as it is written; its position is known */
	size_t end;
	config_host_fn *on_host;
	void *owner;
};
bool host_read(const struct host_reading *reading, const cJSON *value);

#endif
