#include "watch/watch_set.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

/* In a directory that is only passed through, writing to files is of no interest. */
#define ENTRY_EVENTS                                                                               \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR | IN_MASK_ADD)
#define FILE_EVENTS (ENTRY_EVENTS | IN_MODIFY | IN_CLOSE_WRITE)

#define LINKS_MAX 40 /* as the kernel's own limit: path_resolution(7) */

struct pattern {
	struct pattern *next;
	const char *text;
};

struct watch_dir {
	const char *path;
	int wd; /* -1: not watched */
	uint32_t mask;
	void *names; /* a tsearch(3) tree of strings */
	struct pattern *patterns;
};

/* A path on its way: `real` has no links in it, `rest` is still to be looked up there. */
struct walk {
	char real[PATH_MAX];
	char rest[PATH_MAX];
	int links;
	bool is_leaf; /* where it ends there is a file to watch, not a directory to pass through */
	struct path_stamp stamp;
};

static int compare_paths(const void *a, const void *b)
{
	const struct watch_dir *one = a, *other = b;
	return strcmp(one->path, other->path);
}

static int compare_wds(const void *a, const void *b)
{
	const struct watch_dir *one = a, *other = b;
	return (one->wd > other->wd) - (one->wd < other->wd);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The arena holds what the trees point to. */
static void dir_keep(void *node)
{
	(void)node;
}

void watch_set_init(struct watch_set *set, int fd)
{
	*set = (struct watch_set){.fd = fd};
}

static void note_failure(struct watch_set *set, int error, const char *path)
{
	/* What is not there is seen when it comes, in the directory above. */
	if (set->error || error == ENOENT || error == ENOTDIR)
		return;
	set->error = error;
	set->unwatched = arena_copy(&set->arena, path, strlen(path));
}

static struct watch_dir *find_dir(struct watch_set *set, const char *path)
{
	struct watch_dir key = {.path = path};
	struct watch_dir **found = tfind(&key, &set->dirs, compare_paths);
	if (found)
		return *found;
	struct watch_dir *dir = arena_alloc(&set->arena, sizeof *dir);
	char *copy = arena_copy(&set->arena, path, strlen(path));
	if (!dir || !copy)
		return NULL;
	*dir = (struct watch_dir){.path = copy, .wd = -1};
	return tsearch(dir, &set->dirs, compare_paths) ? dir : NULL;
}

/* One directory that is mounted twice has one descriptor: then its first dir stands for both. */
static struct watch_dir *add_watch(struct watch_set *set, struct watch_dir *dir, uint32_t mask)
{
	if (dir->mask != FILE_EVENTS && dir->mask != mask) {
		dir->mask = mask;
		dir->wd = set->fd < 0 ? -1 : inotify_add_watch(set->fd, dir->path, mask);
		if (dir->wd < 0)
			note_failure(set, set->fd < 0 ? EMFILE : errno, dir->path);
	}
	if (dir->wd < 0)
		return dir;
	struct watch_dir **known = tsearch(dir, &set->by_wd, compare_wds);
	return known ? *known : NULL;
}

static bool has_pattern(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

static bool note_name(struct watch_set *set, struct watch_dir *dir, const char *name, bool is_leaf)
{
	if (tfind(name, &dir->names, compare_names))
		return true;
	char *copy = arena_copy(&set->arena, name, strlen(name));
	if (!copy || !tsearch(copy, &dir->names, compare_names))
		return false;
	if (!is_leaf || !has_pattern(name))
		return true;
	struct pattern *pattern = arena_alloc(&set->arena, sizeof *pattern);
	if (!pattern)
		return false;
	*pattern = (struct pattern){dir->patterns, copy};
	dir->patterns = pattern;
	return true;
}

/* Always before the name is looked up: what changes after the look is an event then. */
static void watch_name(struct watch_set *set, const char *real, const char *name, bool is_leaf)
{
	struct watch_dir *dir = find_dir(set, real);
	if (dir)
		dir = add_watch(set, dir, is_leaf ? FILE_EVENTS : ENTRY_EVENTS);
	if (!dir || !note_name(set, dir, name, is_leaf))
		note_failure(set, ENOMEM, real);
}

/*
 * A directory changes with all that is in it, of which most is not ours: only which
 * it is counts.
 */
static void stamp_add(struct path_stamp *stamp, const struct stat *stat)
{
	bool is_dir = S_ISDIR(stat->st_mode);
	uint64_t facts[] = {stat->st_dev, stat->st_ino, stat->st_mode,
		is_dir ? 0 : (uint64_t)stat->st_size, is_dir ? 0 : (uint64_t)stat->st_mtim.tv_sec,
		is_dir ? 0 : (uint64_t)stat->st_mtim.tv_nsec,
		is_dir ? 0 : (uint64_t)stat->st_ctim.tv_sec,
		is_dir ? 0 : (uint64_t)stat->st_ctim.tv_nsec};
	stamp->facts = hash_bytes((struct hash_key){stamp->facts, 0}, facts, sizeof facts);
	int64_t changed_ns = stat->st_ctim.tv_sec * INT64_C(1000000000) + stat->st_ctim.tv_nsec;
	if (!is_dir && changed_ns > stamp->changed_ns)
		stamp->changed_ns = changed_ns;
}

/* Cuts the next component from `rest`; false at the end. */
static bool next_name(char *rest, char *name)
{
	size_t slashes = strspn(rest, "/");
	size_t len = strcspn(rest + slashes, "/");
	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, rest + slashes, len);
	name[len] = '\0';
	memmove(rest, rest + slashes + len, strlen(rest + slashes + len) + 1);
	return true;
}

static bool is_at_end(const char *rest)
{
	return rest[strspn(rest, "/")] == '\0';
}

/* `real` has no links, so that the directory above it is in its text. "/" is the empty text. */
static void leave_directory(char *real)
{
	char *slash = strrchr(real, '/');
	if (slash)
		*slash = '\0';
}

static bool path_join(char *path, size_t size, const char *name)
{
	size_t used = strlen(path), len = strlen(name);
	if (used + 1 + len >= size)
		return false;
	path[used] = '/';
	memcpy(path + used + 1, name, len + 1);
	return true;
}

static bool follow_link(struct walk *walk, const char *link)
{
	char target[PATH_MAX];
	ssize_t len = readlink(link, target, sizeof target - 1);
	if (len <= 0 || ++walk->links > LINKS_MAX)
		return false;
	target[len] = '\0';
	if (!path_join(target, sizeof target, walk->rest))
		return false;
	if (target[0] == '/')
		walk->real[0] = '\0';
	memcpy(walk->rest, target, strlen(target) + 1);
	return true;
}

/* One component further; false when there is no further, because the path ends or has a gap. */
static bool walk_step(struct watch_set *set, struct walk *walk, const char *name)
{
	char path[PATH_MAX];
	struct stat stat;
	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0) {
		leave_directory(walk->real);
		return true;
	}
	watch_name(
		set, *walk->real ? walk->real : "/", name, walk->is_leaf && is_at_end(walk->rest));
	memcpy(path, walk->real, strlen(walk->real) + 1);
	if (!path_join(path, sizeof path, name) || lstat(path, &stat) < 0)
		return false;
	stamp_add(&walk->stamp, &stat);
	if (S_ISLNK(stat.st_mode))
		return follow_link(walk, path);
	memcpy(walk->real, path, strlen(path) + 1);
	return S_ISDIR(stat.st_mode);
}

/* True when the path leads to a directory, which is then in `real`. */
static bool walk_to_end(struct watch_set *set, struct walk *walk)
{
	char name[NAME_MAX + 1];
	while (next_name(walk->rest, name))
		if (!walk_step(set, walk, name))
			return false;
	return is_at_end(walk->rest);
}

static void start_walk(struct walk *walk, const char *real, const char *rest, bool is_leaf)
{
	walk->links = 0;
	walk->is_leaf = is_leaf;
	walk->stamp = (struct path_stamp){0};
	snprintf(walk->real, sizeof walk->real, "%s", real);
	snprintf(walk->rest, sizeof walk->rest, "%s", rest);
}

/* Every name that matches is followed like a path of its own: it may be a link. */
static void add_matches(
	struct watch_set *set, const char *real, const char *pattern, struct path_stamp *sum)
{
	DIR *dir = opendir(*real ? real : "/");
	struct dirent *entry;
	struct walk walk;
	while (dir && (entry = readdir(dir))) {
		if (fnmatch(pattern, entry->d_name, FNM_PERIOD) != 0)
			continue;
		start_walk(&walk, real, entry->d_name, true);
		walk_to_end(set, &walk);
		/* A sum, because the order in which a directory is read may change. */
		sum->facts += hash_bytes((struct hash_key){walk.stamp.facts, 0}, entry->d_name,
			strlen(entry->d_name));
		if (walk.stamp.changed_ns > sum->changed_ns)
			sum->changed_ns = walk.stamp.changed_ns;
	}
	if (dir)
		closedir(dir);
}

static void walk_parent(struct watch_set *set, const char *path, size_t len)
{
	struct walk walk;
	if (set->parent && strlen(set->parent) == len && memcmp(set->parent, path, len) == 0)
		return;
	set->parent = arena_copy(&set->arena, path, len);
	set->parent_real = NULL;
	if (!set->parent) {
		note_failure(set, ENOMEM, path);
		return;
	}
	start_walk(&walk, "", set->parent, false);
	if (walk_to_end(set, &walk))
		set->parent_real = arena_copy(&set->arena, walk.real, strlen(walk.real));
	set->parent_stamp = walk.stamp;
}

struct path_stamp watch_set_add(struct watch_set *set, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct walk walk;
	if (!slash || strlen(path) >= PATH_MAX)
		return (struct path_stamp){0}; /* no process can open it either */
	walk_parent(set, path, (size_t)(slash - path));
	if (!set->parent_real)
		return set->parent_stamp;
	start_walk(&walk, set->parent_real, slash + 1, true);
	walk.stamp = set->parent_stamp;
	walk_to_end(set, &walk);
	if (has_pattern(slash + 1))
		add_matches(set, set->parent_real, slash + 1, &walk.stamp);
	return walk.stamp;
}

bool watch_set_concerns(const struct watch_set *set, const struct inotify_event *event)
{
	struct watch_dir key = {.wd = event->wd};
	struct watch_dir **found = tfind(&key, &set->by_wd, compare_wds);
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	if (!found)
		return false;
	if (event->mask & (IN_IGNORED | IN_UNMOUNT)) /* the directory itself is gone */
		return true;
	if (event->len == 0)
		return false;
	if (tfind(event->name, &(*found)->names, compare_names))
		return true;
	for (const struct pattern *pattern = (*found)->patterns; pattern; pattern = pattern->next)
		if (fnmatch(pattern->text, event->name, FNM_PERIOD) == 0)
			return true;
	return false;
}

struct replacement {
	int fd;
	const struct watch_set *next;
};

static void unwatch_unless_kept(const void *node, VISIT visit, void *closure)
{
	const struct replacement *replacement = closure;
	const struct watch_dir *const *dir = node;
	if (visit != preorder && visit != leaf)
		return;
	if (!tfind(*dir, &replacement->next->by_wd, compare_wds))
		inotify_rm_watch(replacement->fd, (*dir)->wd);
}

static void finish_dir(void *node)
{
	struct watch_dir *dir = node;
	tdestroy(dir->names, dir_keep);
}

void watch_set_finish(struct watch_set *set, const struct watch_set *next)
{
	struct replacement replacement = {set->fd, next};
	if (next)
		twalk_r(set->by_wd, unwatch_unless_kept, &replacement);
	tdestroy(set->by_wd, dir_keep);
	tdestroy(set->dirs, finish_dir);
	arena_finish(&set->arena);
}
