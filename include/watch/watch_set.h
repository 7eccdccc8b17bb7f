/*
 * What watch.c watches at one moment: the directories in which the components of its paths are
 * looked up, and for each the names that matter there. A file that can be changed by a name in another
 * directory (it is a mount point, or has hard links) is watched itself too. A set is built by walking
 * every path, then takes the place of the one before; directories in both stay watched throughout.
 */
#ifndef GATEHOUSE_WATCH_WATCH_SET_H
#define GATEHOUSE_WATCH_WATCH_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>

#include "base/arena.h"

/* What a walk saw. `facts` changes when what the path leads to does, like an entity tag. */
struct path_stamp {
	uint64_t facts;
	int64_t changed_ns; /* the latest ctime of the file and of the links that lead to it */
	bool is_silent; /* it may change without an event: something on its way is not watched */
};

/* A file system, and whether changes can be made to it that this kernel does not see. */
struct watch_device {
	struct watch_device *next;
	uint64_t number;
	bool is_silent;
};

struct watch_set {
	int fd; /* inotify(7); -1: nothing is watched, every path is silent */
	struct arena arena;
	void *dirs, *by_wd; /* tsearch(3) trees of struct watch_dir */
	int error;          /* the first error that kept something from being watched; 0: none */
	char *unwatched;    /* and that directory or file */
	unsigned inodes;    /* files that are watched themselves, or would be */
	struct watch_device *devices;
	char *silent;      /* the first that is on a silent file system; NULL: none */
	char *parent;      /* the directory part that was walked last */
	char *parent_real; /* where it led to; NULL: nowhere */
	struct path_stamp parent_stamp;
	uint64_t parent_device;
};

void watch_set_init(struct watch_set *set, int fd);

/* Watches what an absolute path depends on. Cheap for paths of one directory in a row. */
struct path_stamp watch_set_add(struct watch_set *set, const char *path);

/* True when an event of inotify is about a name in the set. */
bool watch_set_concerns(const struct watch_set *set, const struct inotify_event *event);

/* Stops watching what `next` does not contain; `next` may be NULL. */
void watch_set_finish(struct watch_set *set, const struct watch_set *next);

#endif
