/*
 * The hosts and servers that the administrator has drained, by name: kept over reloads until they
 * are undrained. Each change is marked in the published snapshot at once (route/drain.h).
 */
#ifndef GATEHOUSE_CONTROL_DRAINED_H
#define GATEHOUSE_CONTROL_DRAINED_H

#include "daemon/participant.h"

struct drained;

/* All zero is an empty set. */
struct drained_set {
	struct drained *first;
};

enum drained_result { DRAINED_NEW, DRAINED_BEFORE, DRAINED_UNKNOWN, DRAINED_NO_MEMORY };

/* `*matched`: how many routes, or places in backends, have that name; UNKNOWN: none has. */
enum drained_result drained_add(
	struct drained_set *set, struct routes *routes, const char *name, size_t *matched);

/* False: it is not in the set. */
bool drained_remove(
	struct drained_set *set, struct routes *routes, const char *name, size_t *matched);
void drained_remove_all(struct drained_set *set, struct routes *routes);

/* "a.test, 10.0.0.1:80", as far as it fits behind what `out` has already. */
void drained_text(const struct drained_set *set, char *out, size_t size);

/* Marks a new snapshot before it is used. */
struct participant drained_participant(struct drained_set *set);

void drained_finish(struct drained_set *set);

#endif
