/* The files that the configuration depends on, and the watch on them (watch/watch.h). */
#ifndef GATEHOUSE_DAEMON_LOAD_WATCHED_FILES_H
#define GATEHOUSE_DAEMON_LOAD_WATCHED_FILES_H

#include "base/err.h"
#include "base/path_set.h"

#include <ev.h>
#include <stdbool.h>

struct watched_files;

/* Before the first file is read: what changes from now on is noticed. NULL with `err`. */
struct watched_files *watched_files_create(
	struct ev_loop *loop, void (*on_change)(void *owner), void *owner, struct err *err);

/* The set of them, for the first load to fill; then they are to be watched. */
struct path_set *watched_files_paths(struct watched_files *files);
void watched_files_watch(struct watched_files *files);

/* Watches these paths too, or (`only`) these and no others. Copied. */
void watched_files_follow(struct watched_files *files, const struct path_set *paths, bool only);

void watched_files_destroy(struct watched_files *files); /* NULL is fine */

#endif
