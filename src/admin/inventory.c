#include "admin/inventory.h"

#include "base/clock.h"
#include "route/inspect.h"

#include <stdlib.h>

struct shown {
	const struct credential *credential;
	const char *host;
};

struct collecting {
	struct shown *items;
	size_t count, room;
};

static bool collect_certificates(void *owner, const struct route *route)
{
	struct collecting *collecting = owner;
	if (!route->tls)
		return true;
	const struct tls_policy *policy = &route->tls->policy;
	if (collecting->count + policy->credential_count > collecting->room) {
		size_t room = collecting->room ? collecting->room * 2 : 64;
		struct shown *more = realloc(collecting->items, room * sizeof *more);
		if (!more)
			return false;
		collecting->items = more;
		collecting->room = room;
	}
	for (size_t i = 0; i < policy->credential_count; i++)
		collecting->items[collecting->count++] =
			(struct shown){policy->credentials[i], route->host};
	return true;
}

static int shown_compare(const void *one, const void *other)
{
	const struct shown *a = one, *b = other;
	if (a->credential->not_after != b->credential->not_after)
		return a->credential->not_after < b->credential->not_after ? -1 : 1;
	int order = strcmp(a->credential->cert_stamp.path, b->credential->cert_stamp.path);
	return order ? order : strcmp(a->host, b->host);
}

/* A certificate whose key stands in two files is one certificate. */
static bool same_file(const struct credential *one, const struct credential *other)
{
	return one == other || strcmp(one->cert_stamp.path, other->cert_stamp.path) == 0;
}

struct certificate_row *inventory_certificates(const struct routes *routes, size_t *count)
{
	struct collecting all = {0};
	struct certificate_row *rows = calloc(INVENTORY_MAX, sizeof *rows);
	*count = 0;
	routes_each(routes, collect_certificates, &all);
	if (all.count > 0)
		qsort(all.items, all.count, sizeof *all.items, shown_compare);
	for (size_t i = 0; rows && i < all.count; i++) {
		const struct shown *shown = &all.items[i];
		if (*count == 0 || !same_file(rows[*count - 1].credential, shown->credential)) {
			if (*count == INVENTORY_MAX)
				break;
			rows[(*count)++] =
				(struct certificate_row){shown->credential, shown->host, 0};
		}
		rows[*count - 1].routes++;
	}
	free(all.items);
	return rows;
}

long days_left(time_t not_after, time_t now)
{
	double seconds = difftime(not_after, now);
	return (long)(seconds / 86400) - (seconds < 0 ? 1 : 0);
}

/* A page does not need a million servers sorted: these many are examined. */
#define LOOKED_AT_MAX 50000

static int server_row_compare(const void *one, const void *other)
{
	const struct server_row *a = one, *b = other;
	int order = strcmp(a->text, b->text);
	if (order == 0)
		return (a->state == NULL) - (b->state == NULL);
	return order;
}

static size_t collect_servers(const struct routes *routes, struct server_row *rows, size_t max)
{
	size_t count = 0;
	for (size_t i = 0; i < routes_backend_count(routes); i++) {
		const struct backend *backend = routes_backend(routes, i);
		for (unsigned at = 0; at < backend->count && count < max; at++) {
			const struct server *server = &backend->servers[at];
			rows[count++] = (struct server_row){server->text, server->state,
				atomic_load((atomic_bool *)&server->drained),
				backend->health.kind != HEALTH_NONE};
		}
	}
	return count;
}

struct server_row *inventory_servers(const struct routes *routes, size_t *count)
{
	struct server_row *rows = malloc(LOOKED_AT_MAX * sizeof *rows);
	size_t found = 0, kept = 0;
	*count = 0;
	if (!rows)
		return NULL;
	found = collect_servers(routes, rows, LOOKED_AT_MAX);
	qsort(rows, found, sizeof *rows, server_row_compare);
	for (size_t i = 0; i < found; i++) {
		if (kept > 0 && strcmp(rows[kept - 1].text, rows[i].text) == 0) {
			rows[kept - 1].is_drained |= rows[i].is_drained;
			rows[kept - 1].is_checked |= rows[i].is_checked;
			continue;
		}
		if (kept == INVENTORY_MAX)
			break;
		rows[kept++] = rows[i];
	}
	*count = kept;
	return rows;
}

bool server_is_up(const struct server_row *row)
{
	struct server_state *state = (struct server_state *)row->state;
	if (!state)
		return true;
	return !atomic_load(&state->unhealthy) && atomic_load(&state->down_until) <= clock_now_us();
}
