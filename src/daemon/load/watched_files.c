#include "daemon/load/watched_files.h"

#include "watch/watch.h"

#include <stdlib.h>

#define QUIET_SECONDS 0.2 /* an editor's several steps are one change */

struct watched_files {
	struct watch *watch;
	struct path_set paths;
};

struct watched_files *watched_files_create(
	struct ev_loop *loop, void (*on_change)(void *owner), void *owner, struct err *err)
{
	struct watched_files *files = calloc(1, sizeof *files);
	if (!files) {
		err_set(err, "out of memory");
		return NULL;
	}
	files->watch = watch_create(loop, QUIET_SECONDS, on_change, owner, err);
	if (files->watch)
		return files;
	free(files);
	return NULL;
}

struct path_set *watched_files_paths(struct watched_files *files)
{
	return &files->paths;
}

void watched_files_watch(struct watched_files *files)
{
	watch_replace(files->watch, files->paths.paths, files->paths.count);
}

void watched_files_follow(struct watched_files *files, const struct path_set *paths, bool only)
{
	if (only)
		path_set_finish(&files->paths);
	for (size_t i = 0; i < paths->count; i++)
		path_set_add(&files->paths, paths->paths[i]);
	watched_files_watch(files);
}

void watched_files_destroy(struct watched_files *files)
{
	if (!files)
		return;
	watch_destroy(files->watch);
	path_set_finish(&files->paths);
	free(files);
}
