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

struct folder {
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
	struct sight sight;
};

static int compare_paths(const void *a, const void *b)
{
	const struct folder *one = a, *other = b;
	return strcmp(one->path, other->path);
}

static int compare_wds(const void *a, const void *b)
{
	const struct folder *one = a, *other = b;
	return (one->wd > other->wd) - (one->wd < other->wd);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The arena holds what the trees point to. */
static void keep(void *node)
{
	(void)node;
}

void view_init(struct view *view, int fd)
{
	*view = (struct view){.fd = fd};
}

static void note_failure(struct view *view, int error, const char *path)
{
	/* What is not there is seen when it comes, in the directory above. */
	if (view->error || error == ENOENT || error == ENOTDIR)
		return;
	view->error = error;
	view->unwatched = arena_copy(&view->arena, path, strlen(path));
}

static struct folder *find_folder(struct view *view, const char *path)
{
	struct folder key = {.path = path};
	struct folder **found = tfind(&key, &view->folders, compare_paths);
	if (found)
		return *found;
	struct folder *folder = arena_alloc(&view->arena, sizeof *folder);
	char *copy = arena_copy(&view->arena, path, strlen(path));
	if (!folder || !copy)
		return NULL;
	*folder = (struct folder){.path = copy, .wd = -1};
	return tsearch(folder, &view->folders, compare_paths) ? folder : NULL;
}

/* One directory that is mounted twice has one descriptor: then its first folder stands for both. */
static struct folder *watch_folder(struct view *view, struct folder *folder, uint32_t mask)
{
	if (folder->mask != FILE_EVENTS && folder->mask != mask) {
		folder->mask = mask;
		folder->wd = view->fd < 0 ? -1 : inotify_add_watch(view->fd, folder->path, mask);
		if (folder->wd < 0)
			note_failure(view, view->fd < 0 ? EMFILE : errno, folder->path);
	}
	if (folder->wd < 0)
		return folder;
	struct folder **known = tsearch(folder, &view->by_wd, compare_wds);
	return known ? *known : NULL;
}

static bool has_pattern(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

static bool note_name(struct view *view, struct folder *folder, const char *name, bool is_leaf)
{
	if (tfind(name, &folder->names, compare_names))
		return true;
	char *copy = arena_copy(&view->arena, name, strlen(name));
	if (!copy || !tsearch(copy, &folder->names, compare_names))
		return false;
	if (!is_leaf || !has_pattern(name))
		return true;
	struct pattern *pattern = arena_alloc(&view->arena, sizeof *pattern);
	if (!pattern)
		return false;
	*pattern = (struct pattern){folder->patterns, copy};
	folder->patterns = pattern;
	return true;
}

/* Always before the name is looked up: what changes after the look is an event then. */
static void watch_name(struct view *view, const char *real, const char *name, bool is_leaf)
{
	struct folder *folder = find_folder(view, real);
	if (folder)
		folder = watch_folder(view, folder, is_leaf ? FILE_EVENTS : ENTRY_EVENTS);
	if (!folder || !note_name(view, folder, name, is_leaf))
		note_failure(view, ENOMEM, real);
}

/*
 * A directory changes with all that is in it, of which most is not ours: only which
 * it is counts.
 */
static void see(struct sight *sight, const struct stat *stat)
{
	bool is_dir = S_ISDIR(stat->st_mode);
	uint64_t facts[] = {stat->st_dev, stat->st_ino, stat->st_mode,
		is_dir ? 0 : (uint64_t)stat->st_size, is_dir ? 0 : (uint64_t)stat->st_mtim.tv_sec,
		is_dir ? 0 : (uint64_t)stat->st_mtim.tv_nsec,
		is_dir ? 0 : (uint64_t)stat->st_ctim.tv_sec,
		is_dir ? 0 : (uint64_t)stat->st_ctim.tv_nsec};
	sight->facts = hash_bytes((struct hash_key){sight->facts, 0}, facts, sizeof facts);
	int64_t changed_ns = stat->st_ctim.tv_sec * INT64_C(1000000000) + stat->st_ctim.tv_nsec;
	if (!is_dir && changed_ns > sight->changed_ns)
		sight->changed_ns = changed_ns;
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

static bool join(char *path, size_t size, const char *name)
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
	if (!join(target, sizeof target, walk->rest))
		return false;
	if (target[0] == '/')
		walk->real[0] = '\0';
	memcpy(walk->rest, target, strlen(target) + 1);
	return true;
}

/* One component further; false when there is no further, because the path ends or has a gap. */
static bool step(struct view *view, struct walk *walk, const char *name)
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
		view, *walk->real ? walk->real : "/", name, walk->is_leaf && is_at_end(walk->rest));
	memcpy(path, walk->real, strlen(walk->real) + 1);
	if (!join(path, sizeof path, name) || lstat(path, &stat) < 0)
		return false;
	see(&walk->sight, &stat);
	if (S_ISLNK(stat.st_mode))
		return follow_link(walk, path);
	memcpy(walk->real, path, strlen(path) + 1);
	return S_ISDIR(stat.st_mode);
}

/* True when the path leads to a directory, which is then in `real`. */
static bool walk_to_end(struct view *view, struct walk *walk)
{
	char name[NAME_MAX + 1];
	while (next_name(walk->rest, name))
		if (!step(view, walk, name))
			return false;
	return is_at_end(walk->rest);
}

static void start_walk(struct walk *walk, const char *real, const char *rest, bool is_leaf)
{
	walk->links = 0;
	walk->is_leaf = is_leaf;
	walk->sight = (struct sight){0};
	snprintf(walk->real, sizeof walk->real, "%s", real);
	snprintf(walk->rest, sizeof walk->rest, "%s", rest);
}

/* Every name that matches is followed like a path of its own: it may be a link. */
static void add_matches(struct view *view, const char *real, const char *pattern, struct sight *sum)
{
	DIR *dir = opendir(*real ? real : "/");
	struct dirent *entry;
	struct walk walk;
	while (dir && (entry = readdir(dir))) {
		if (fnmatch(pattern, entry->d_name, FNM_PERIOD) != 0)
			continue;
		start_walk(&walk, real, entry->d_name, true);
		walk_to_end(view, &walk);
		/* A sum, because the order in which a directory is read may change. */
		sum->facts += hash_bytes((struct hash_key){walk.sight.facts, 0}, entry->d_name,
			strlen(entry->d_name));
		if (walk.sight.changed_ns > sum->changed_ns)
			sum->changed_ns = walk.sight.changed_ns;
	}
	if (dir)
		closedir(dir);
}

static void walk_parent(struct view *view, const char *path, size_t len)
{
	struct walk walk;
	if (view->parent && strlen(view->parent) == len && memcmp(view->parent, path, len) == 0)
		return;
	view->parent = arena_copy(&view->arena, path, len);
	view->parent_real = NULL;
	if (!view->parent) {
		note_failure(view, ENOMEM, path);
		return;
	}
	start_walk(&walk, "", view->parent, false);
	if (walk_to_end(view, &walk))
		view->parent_real = arena_copy(&view->arena, walk.real, strlen(walk.real));
	view->parent_sight = walk.sight;
}

struct sight view_add(struct view *view, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct walk walk;
	if (!slash || strlen(path) >= PATH_MAX)
		return (struct sight){0}; /* nobody can open it either */
	walk_parent(view, path, (size_t)(slash - path));
	if (!view->parent_real)
		return view->parent_sight;
	start_walk(&walk, view->parent_real, slash + 1, true);
	walk.sight = view->parent_sight;
	walk_to_end(view, &walk);
	if (has_pattern(slash + 1))
		add_matches(view, view->parent_real, slash + 1, &walk.sight);
	return walk.sight;
}

bool view_concerns(const struct view *view, const struct inotify_event *event)
{
	struct folder key = {.wd = event->wd};
	struct folder **found = tfind(&key, &view->by_wd, compare_wds);
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
	const struct view *next;
};

static void unwatch_unless_kept(const void *node, VISIT visit, void *closure)
{
	const struct replacement *replacement = closure;
	const struct folder *const *folder = node;
	if (visit != preorder && visit != leaf)
		return;
	if (!tfind(*folder, &replacement->next->by_wd, compare_wds))
		inotify_rm_watch(replacement->fd, (*folder)->wd);
}

static void finish_folder(void *node)
{
	struct folder *folder = node;
	tdestroy(folder->names, keep);
}

void view_finish(struct view *view, const struct view *next)
{
	struct replacement replacement = {view->fd, next};
	if (next)
		twalk_r(view->by_wd, unwatch_unless_kept, &replacement);
	tdestroy(view->by_wd, keep);
	tdestroy(view->folders, finish_folder);
	arena_finish(&view->arena);
}
