/*
 * Findings about a configuration from the code that uses it: an unreadable file, a duplicate host.
 */
#ifndef GATEHOUSE_CONFIG_CONFIG_FINDING_H
#define GATEHOUSE_CONFIG_CONFIG_FINDING_H

#include "base/report.h"
#include "config/config.h"

/*
 * A finding about one field of a route while on_host runs (`index` -1: the field itself), with
 * file, line and path in front: `config.json:14: hosts["app.test"].cert[1]: no such file`.
 */
void route_config_error(const struct route_config *route, struct report *report, const char *field,
	int index, const char *format, ...) __attribute__((format(printf, 5, 6)));
void route_config_warning(const struct route_config *route, struct report *report,
	const char *field, int index, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* A finding about the host as a whole, such as that another one has its name already. */
void host_config_error(const struct host_config *host, struct report *report, const char *format,
	...) __attribute__((format(printf, 3, 4)));

#endif
