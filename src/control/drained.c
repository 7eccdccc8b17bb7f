#include "control/drained.h"

#include "route/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct drained {
	struct drained *next;
	bool is_server;
	char name[];
};

static struct drained *drained_create(const char *name)
{
	size_t size = strlen(name) + 1;
	struct drained *drained = calloc(1, sizeof *drained + size);
	if (drained)
		memcpy(drained->name, name, size);
	return drained;
}

/* Where the entry is, or would be: at the end. */
static struct drained **drained_find(struct drained_set *set, const char *name)
{
	struct drained **at = &set->first;
	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static size_t drained_mark(const struct drained *drained, struct routes *routes, bool is_drained)
{
	return drained->is_server ? routes_drain_server(routes, drained->name, is_drained)
				  : routes_drain_host(routes, drained->name, is_drained);
}

/* A host's name has no port; a server's has one, or is a socket: they are never confused. */
enum drained_result drained_add(
	struct drained_set *set, struct routes *routes, const char *name, size_t *matched)
{
	struct drained *drained = drained_create(name);
	if (!drained)
		return DRAINED_NO_MEMORY;
	*matched = drained_mark(drained, routes, true);
	if (*matched == 0) {
		drained->is_server = true;
		*matched = drained_mark(drained, routes, true);
	}
	bool is_there = *drained_find(set, name) != NULL;
	if (*matched == 0 || is_there) {
		free(drained);
		return *matched == 0 ? DRAINED_UNKNOWN : DRAINED_BEFORE;
	}
	drained->next = set->first;
	set->first = drained;
	return DRAINED_NEW;
}

static size_t drained_drop(struct drained **at, struct routes *routes)
{
	struct drained *drained = *at;
	size_t matched = drained_mark(drained, routes, false);
	*at = drained->next;
	free(drained);
	return matched;
}

bool drained_remove(
	struct drained_set *set, struct routes *routes, const char *name, size_t *matched)
{
	struct drained **at = drained_find(set, name);
	if (!*at)
		return false;
	*matched = drained_drop(at, routes);
	return true;
}

void drained_remove_all(struct drained_set *set, struct routes *routes)
{
	while (set->first)
		drained_drop(&set->first, routes);
}

void drained_text(const struct drained_set *set, char *out, size_t size)
{
	size_t used = strlen(out);
	for (struct drained *at = set->first; at && used < size; at = at->next)
		used += (size_t)snprintf(
			out + used, size - used, "%s%s", used ? ", " : "", at->name);
}

static void drained_commit(void *owner, const struct reload_event *event)
{
	const struct drained_set *set = owner;
	for (struct drained *at = set->first; at; at = at->next)
		drained_mark(at, event->routes, true);
}

struct participant drained_participant(struct drained_set *set)
{
	return (struct participant){.name = "drained", .owner = set, .commit = drained_commit};
}

void drained_finish(struct drained_set *set)
{
	while (set->first) {
		struct drained *drained = set->first;
		set->first = drained->next;
		free(drained);
	}
}
