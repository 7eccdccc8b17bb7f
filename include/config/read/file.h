/* A configuration file, whole in memory, and where it stands. */
#ifndef GATEHOUSE_CONFIG_READ_FILE_H
#define GATEHOUSE_CONFIG_READ_FILE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/report.h"
#include "config/read/place.h"

#define CONFIG_SIZE_MAX ((size_t)1 << 30)

/*
 * The text is read, not mapped: an editor may cut the file while we look at it. `text` is
 * malloc'ed; the caller frees it. `what` of an error fits behind the file's name.
 */
bool file_read(const char *path, char **text, size_t *len, struct err *err);

/* Absolute, in the arena, by the working directory of now; links are left as they are. */
const char *path_absolute(struct arena *arena, const char *path);
const char *path_directory(struct arena *arena, const char *path); /* "/" has no slash behind it */

/*
 * The files that the pattern at `place` stands for, sorted, added to `found`. None is fine where
 * the pattern has a wildcard, and an error where it is a plain name. False: `err` says why not.
 */
struct file_list {
	char **paths; /* each malloc'ed */
	size_t count;
};
bool files_match(const char *pattern, struct file_list *found, struct err *err);
void files_sort(struct file_list *list); /* and each but once */
void files_finish(struct file_list *list);

/* `path` with what is special to glob(3) escaped. */
const char *glob_escaped(struct arena *arena, const char *path);

#endif
