#include "watch/watch_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/hash.h"
#include "watch/file_system.h"

/* In a directory that is only passed through, writing to files is of no interest. */
#define ENTRY_EVENTS                                                                               \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR | IN_MASK_ADD)
#define FILE_EVENTS (ENTRY_EVENTS | IN_MODIFY | IN_CLOSE_WRITE)

/* Of a file itself, by whatever name it is changed. */
#define INODE_EVENTS (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)

#define INODES_MAX 1024

#define LINKS_MAX 40 /* as the kernel's own limit: path_resolution(7) */

struct pattern {
	struct pattern *next;
	const char *text;
};

struct watch_dir {
	const char *path;
	int wd;        /* -1: not watched */
	int error;     /* why */
	uint32_t mask; /* INODE_EVENTS: it is a file */
	void *names;   /* a tsearch(3) tree of strings */
	struct pattern *patterns;
};

/* A path on its way: `real` has no links in it, `rest` is still to be looked up there. */
struct walk {
	char real[PATH_MAX];
	char rest[PATH_MAX];
	int links;
	bool is_leaf; /* where it ends there is a file to watch, not a directory to pass through */
	dev_t device; /* of the component before */
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

/* `stamp` is that of what is not watched now. */
static void note_failure(
	struct watch_set *set, int error, const char *path, struct path_stamp *stamp)
{
	/* What is not there is seen when it comes, in the directory above. */
	if (error == ENOENT || error == ENOTDIR)
		return;
	stamp->is_silent = true;
	if (set->error)
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
static struct watch_dir *add_watch(
	struct watch_set *set, struct watch_dir *dir, uint32_t mask, struct path_stamp *stamp)
{
	if (dir->mask != FILE_EVENTS && dir->mask != mask) {
		dir->mask = mask;
		dir->wd = inotify_add_watch(set->fd, dir->path, mask);
		dir->error = dir->wd < 0 ? errno : 0;
	}
	if (dir->wd < 0) {
		note_failure(set, dir->error, dir->path, stamp);
		return dir;
	}
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
static void watch_name(struct watch_set *set, struct walk *walk, const char *name, bool is_leaf)
{
	const char *real = *walk->real ? walk->real : "/";
	if (set->fd < 0) {
		note_failure(set, EMFILE, real, &walk->stamp);
		return;
	}
	struct watch_dir *dir = find_dir(set, real);
	if (dir)
		dir = add_watch(set, dir, is_leaf ? FILE_EVENTS : ENTRY_EVENTS, &walk->stamp);
	if (!dir || !note_name(set, dir, name, is_leaf))
		note_failure(set, ENOMEM, real, &walk->stamp);
}

/* Like statx(2), of a link itself; also where a container refuses the call, as old ones do. */
static bool look(const char *path, struct statx *out)
{
	struct stat stat;
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, out) ==
		0)
		return true;
	if (errno != EPERM || lstat(path, &stat) < 0)
		return false;
	*out = (struct statx){.stx_mode = (uint16_t)stat.st_mode,
		.stx_nlink = (uint32_t)stat.st_nlink,
		.stx_ino = stat.st_ino,
		.stx_size = (uint64_t)stat.st_size,
		.stx_mtime = {.tv_sec = stat.st_mtim.tv_sec,
			.tv_nsec = (uint32_t)stat.st_mtim.tv_nsec},
		.stx_ctime = {.tv_sec = stat.st_ctim.tv_sec,
			.tv_nsec = (uint32_t)stat.st_ctim.tv_nsec},
		.stx_dev_major = major(stat.st_dev),
		.stx_dev_minor = minor(stat.st_dev)};
	return true;
}

static dev_t device_of(const struct statx *file)
{
	return makedev(file->stx_dev_major, file->stx_dev_minor);
}

/* `path` is no link: of a link the directory that it is in has been looked at. */
static bool is_on_silent_device(struct watch_set *set, dev_t number, const char *path)
{
	struct watch_device *device = set->devices;
	while (device && device->number != number)
		device = device->next;
	if (device)
		return device->is_silent;
	bool is_silent = file_system_is_silent(path);
	device = arena_alloc(&set->arena, sizeof *device);
	if (device) {
		*device = (struct watch_device){set->devices, number, is_silent};
		set->devices = device;
	}
	return is_silent;
}

static void check_device(struct watch_set *set, struct walk *walk, dev_t number, const char *path)
{
	walk->device = number;
	if (!is_on_silent_device(set, number, path))
		return;
	walk->stamp.is_silent = true;
	if (!set->silent)
		set->silent = arena_copy(&set->arena, path, strlen(path));
}

/* Before Linux 5.8 a mount of the same file system is not recognized. */
static bool is_mount_point(const struct statx *file, dev_t parent)
{
	if (file->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
		return file->stx_attributes & STATX_ATTR_MOUNT_ROOT;
	return parent != 0 && device_of(file) != parent;
}

/* Can the file be changed by a name in another directory? No event of this one tells that. */
static bool has_other_names(const struct statx *file, dev_t parent)
{
	return file->stx_nlink > 1 || is_mount_point(file, parent);
}

/* Each holds an inode in the kernel's memory: beyond the limit the file is examined instead. */
static void watch_inode(struct watch_set *set, struct walk *walk, const char *path)
{
	if (set->inodes++ >= INODES_MAX) {
		walk->stamp.is_silent = true;
		return;
	}
	struct watch_dir *file = find_dir(set, path);
	if (!file || !add_watch(set, file, INODE_EVENTS, &walk->stamp))
		note_failure(set, ENOMEM, path, &walk->stamp);
}

/*
 * A directory changes with all that is in it, of which most is not ours: only which
 * it is counts.
 */
static void stamp_add(struct path_stamp *stamp, const struct statx *file)
{
	bool is_dir = S_ISDIR(file->stx_mode);
	uint64_t facts[] = {device_of(file), file->stx_ino, file->stx_mode,
		is_dir ? 0 : file->stx_size, is_dir ? 0 : (uint64_t)file->stx_mtime.tv_sec,
		is_dir ? 0 : file->stx_mtime.tv_nsec, is_dir ? 0 : (uint64_t)file->stx_ctime.tv_sec,
		is_dir ? 0 : file->stx_ctime.tv_nsec};
	stamp->facts = hash_bytes((struct hash_key){stamp->facts, 0}, facts, sizeof facts);
	int64_t changed_ns = file->stx_ctime.tv_sec * INT64_C(1000000000) + file->stx_ctime.tv_nsec;
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
	if (target[0] == '/') {
		walk->real[0] = '\0';
		walk->device = 0;
	}
	memcpy(walk->rest, target, strlen(target) + 1);
	return true;
}

/* What stands where a step leads, and the watches that it needs itself. */
static bool look_and_watch(
	struct watch_set *set, struct walk *walk, const char *path, bool is_end, struct statx *file)
{
	dev_t parent = walk->device;
	if (!look(path, file))
		return false;
	if (set->fd < 0 || S_ISLNK(file->stx_mode))
		return true;
	check_device(set, walk, device_of(file), path);
	if (!is_end || !S_ISREG(file->stx_mode) || !has_other_names(file, parent))
		return true;
	watch_inode(set, walk, path);
	return look(path, file); /* as always, after what changes is an event */
}

/* One component further; false when there is no further, because the path ends or has a gap. */
static bool walk_step(struct watch_set *set, struct walk *walk, const char *name)
{
	bool is_end = walk->is_leaf && is_at_end(walk->rest);
	char path[PATH_MAX];
	struct statx file;
	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0) {
		leave_directory(walk->real);
		walk->device = 0;
		return true;
	}
	watch_name(set, walk, name, is_end);
	memcpy(path, walk->real, strlen(walk->real) + 1);
	if (!path_join(path, sizeof path, name) || !look_and_watch(set, walk, path, is_end, &file))
		return false;
	stamp_add(&walk->stamp, &file);
	if (S_ISLNK(file.stx_mode))
		return follow_link(walk, path);
	memcpy(walk->real, path, strlen(path) + 1);
	return S_ISDIR(file.stx_mode);
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
	walk->device = 0;
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
		walk.device = set->parent_device;
		walk_to_end(set, &walk);
		/* A sum, because the order in which a directory is read may change. */
		sum->facts += hash_bytes((struct hash_key){walk.stamp.facts, 0}, entry->d_name,
			strlen(entry->d_name));
		if (walk.stamp.changed_ns > sum->changed_ns)
			sum->changed_ns = walk.stamp.changed_ns;
		sum->is_silent |= walk.stamp.is_silent;
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
	set->parent_stamp = (struct path_stamp){0};
	if (!set->parent) {
		note_failure(set, ENOMEM, path, &set->parent_stamp);
		return;
	}
	start_walk(&walk, "", set->parent, false);
	if (walk_to_end(set, &walk))
		set->parent_real = arena_copy(&set->arena, walk.real, strlen(walk.real));
	set->parent_stamp = walk.stamp;
	set->parent_device = walk.device;
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
	walk.device = set->parent_device;
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
	if (event->len ==
		0) /* not of a name in it: of the directory, or of a file watched itself */
		return (*found)->mask == INODE_EVENTS;
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
