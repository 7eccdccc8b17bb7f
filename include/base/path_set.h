/* A set of path names, each kept once, in the order of their coming. */
#ifndef GATEHOUSE_BASE_PATH_SET_H
#define GATEHOUSE_BASE_PATH_SET_H

#include "base/arena.h"

#include <stdbool.h>

/* All zero is an empty set. */
struct path_set {
	struct arena arena;
	void *tree; /* tsearch */
	const char **paths;
	size_t count, room;
};

/* The text is copied. False: out of memory. */
bool path_set_add(struct path_set *set, const char *path);
void path_set_finish(struct path_set *set);

#endif
