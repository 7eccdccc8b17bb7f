/* The fields that a host and its "alpn" entries have in common, and what must hold between them. */
#ifndef GATEHOUSE_CONFIG_CONFIG_ROUTE_H
#define GATEHOUSE_CONFIG_CONFIG_ROUTE_H

#include "config/config.h"
#include "config/read/fields.h"

/* The mode that no value was found for: no check argues from it. */
#define MODE_UNKNOWN ((enum route_mode)0xff)

/* A host or an entry while it is read. */
struct part {
	struct reader *reader;
	const struct place *place;
	const cJSON *object;
	struct route_config *route; /* holds what the part begins with: defaults, or its host's */
	struct given given;         /* by the part itself */
};

struct route_config route_default(const struct place *place);

/* A host has "alpn" beside the fields of a route, which its reader sees to. */
void route_read_host(struct part *part);
void route_read_entry(struct part *part);

void route_check(const struct part *part);

/* Takes off an entry, once it was checked, what it inherits and cannot use. */
void route_settle(const struct part *entry, bool host_is_route);

/* When its entries have inherited: what a host has for client certificates and does not ask for. */
void route_settle_host(struct route_config *route);

/* An error of the part as a whole: a field that is missing. */
void part_error(const struct part *part, const char *text);

#endif
