#include "base/path_set.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int path_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool make_room(struct path_set *set)
{
	if (set->count < set->room)
		return true;
	size_t room = set->room ? set->room * 2 : 16;
	const char **more = realloc(set->paths, room * sizeof *more);
	if (!more)
		return false;
	set->paths = more;
	set->room = room;
	return true;
}

bool path_set_add(struct path_set *set, const char *path)
{
	if (tfind(path, &set->tree, path_compare))
		return true;
	char *copy = arena_copy(&set->arena, path, strlen(path));
	if (!copy || !make_room(set) || !tsearch(copy, &set->tree, path_compare))
		return false;
	set->paths[set->count++] = copy;
	return true;
}

static void keep_path(void *path)
{
	(void)path; /* the arena owns it */
}

void path_set_finish(struct path_set *set)
{
	tdestroy(set->tree, keep_path);
	arena_finish(&set->arena);
	free(set->paths);
	*set = (struct path_set){0};
}
