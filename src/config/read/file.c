#include "config/read/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One byte more than the file's size, so that its end is seen without another growth. */
static bool text_grow(char **text, size_t *room, size_t wanted)
{
	char *more = realloc(*text, wanted);
	if (!more)
		return false;
	*text = more;
	*room = wanted;
	return true;
}

static bool read_all(int fd, size_t size, char **text, size_t *len, struct err *err)
{
	size_t room = 0;
	*len = 0;
	for (;;) {
		if (*len == room && !text_grow(text, &room, room ? room * 2 : size + 1)) {
			err_set_errno(err, ENOMEM, "cannot read");
			return false;
		}
		ssize_t got = read(fd, *text + *len, room - *len);
		if (got == 0)
			return true;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			err_set_errno(err, errno, "cannot read");
			return false;
		}
		*len += (size_t)got;
		if (*len > CONFIG_SIZE_MAX) {
			err_set(err, "larger than 1 GiB");
			return false;
		}
	}
}

bool file_read(const char *path, char **text, size_t *len, struct err *err)
{
	struct stat status;
	bool ok = false;
	*text = NULL;
	/* Without waiting at a FIFO that has no writer; one that has is then read to its end. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status) < 0)
		err_set_errno(err, errno, "cannot read");
	else if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode))
		err_set(err, "cannot read: not a file");
	else if (fcntl(fd, F_SETFL, O_RDONLY) < 0)
		err_set_errno(err, errno, "cannot read");
	else if (status.st_size > (off_t)CONFIG_SIZE_MAX)
		err_set(err, "larger than 1 GiB");
	else
		ok = read_all(
			fd, status.st_size > 0 ? (size_t)status.st_size : 65536, text, len, err);
	if (fd >= 0)
		close(fd);
	if (!ok) {
		free(*text);
		*text = NULL;
	}
	return ok;
}

const char *path_absolute(struct arena *arena, const char *path)
{
	if (*path == '/')
		return arena_copy(arena, path, strlen(path));
	char *here = getcwd(NULL, 0);
	const char *out =
		here ? arena_format(arena, "%s/%s", strcmp(here, "/") ? here : "", path) : NULL;
	free(here);
	return out;
}

const char *path_directory(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');
	return arena_copy(arena, path, slash ? (size_t)(slash - path) : 0);
}

const char *glob_escaped(struct arena *arena, const char *path)
{
	char *out = arena_alloc(arena, 2 * strlen(path) + 1);
	if (!out)
		return NULL;
	char *to = out;
	for (; *path; path++) {
		if (strchr("*?[\\", *path))
			*to++ = '\\';
		*to++ = *path;
	}
	return out;
}

static bool has_wildcard(const char *pattern)
{
	for (; *pattern; pattern++) {
		if (strchr("*?[", *pattern))
			return true;
		if (*pattern == '\\' && pattern[1])
			pattern++;
	}
	return false;
}

/* A directory that is not there holds no files; one that may not be read might hold some. */
static int on_glob_error(const char *path, int error)
{
	(void)path;
	return error != ENOENT && error != ENOTDIR;
}

static bool file_list_add(struct file_list *list, glob_t *found)
{
	size_t count = list->count + found->gl_pathc;
	char **paths = realloc(list->paths, (count + 1) * sizeof *paths);
	if (!paths)
		return false;
	list->paths = paths;
	for (size_t i = 0; i < found->gl_pathc; i++) {
		paths[list->count] = strdup(found->gl_pathv[i]);
		if (!paths[list->count])
			return false;
		list->count++;
	}
	return true;
}

bool files_match(const char *pattern, struct file_list *list, struct err *err)
{
	glob_t found = {0};
	bool ok = false;
	errno = 0;
	int result = glob(pattern, GLOB_NOSORT, on_glob_error, &found);
	if (result == 0 && !(ok = file_list_add(list, &found)))
		err_no_memory(err);
	else if (result == GLOB_NOMATCH && !(ok = has_wildcard(pattern)))
		err_set(err, "no such file");
	else if (result == GLOB_NOSPACE)
		err_no_memory(err);
	else if (result == GLOB_ABORTED)
		err_set_errno(err, errno, "cannot look for files");
	globfree(&found);
	return ok;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void files_sort(struct file_list *list)
{
	size_t kept = 0;
	if (list->count > 1)
		qsort(list->paths, list->count, sizeof *list->paths, by_name);
	for (size_t i = 0; i < list->count; i++) {
		if (kept > 0 && strcmp(list->paths[kept - 1], list->paths[i]) == 0)
			free(list->paths[i]);
		else
			list->paths[kept++] = list->paths[i];
	}
	list->count = kept;
}

void files_finish(struct file_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	free(list->paths);
}
