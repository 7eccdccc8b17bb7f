/* What a snapshot is made of, as lists to show: its certificates, its servers. */
#ifndef GATEHOUSE_ADMIN_INVENTORY_H
#define GATEHOUSE_ADMIN_INVENTORY_H

#include "route/routes.h"

#include <time.h>

/* The certificates that expire first, and all servers but for the excess; sorted. */
#define INVENTORY_MAX 1000

/* Lent by the snapshot, but for the array. */
struct certificate_row {
	const struct credential *credential;
	const char *host; /* the first that shows it */
	size_t routes;    /* how many do */
};
struct certificate_row *inventory_certificates(const struct routes *routes, size_t *count);

/* Whole days, below 0 when it has expired. */
long days_left(time_t not_after, time_t now);

/* Servers of which nothing is learned (a backend of one, without health check) have no state. */
struct server_row {
	const char *text;
	const struct server_state *state;
	bool is_drained, is_checked;
};
struct server_row *inventory_servers(const struct routes *routes, size_t *count);

/* Would it be chosen while others are there? */
bool server_is_up(const struct server_row *row);

#endif
