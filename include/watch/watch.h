/*
 * Reports when files change, however they are changed: written in place, renamed over, deleted and
 * made again, or swapped by a symbolic link somewhere on their path (Kubernetes' "..data"). What is
 * watched is every directory in which a component of a path is looked up, for that name alone;
 * other files in the same directory are ignored. A file that is mounted alone, or has hard links, is
 * watched itself too, because it can be changed by another name. A path, or a directory on it, need not
 * exist yet. The last component may be a pattern of glob(7): then any name that matches counts.
 *
 * Changes are reported together: once nothing more has happened for `quiet_seconds`, or after ten
 * times that in a burst without end (monotonic time). Paths of which the kernel cannot report every
 * change, because they lead through FUSE or a file system of the network or because it has no watches
 * left, are examined every two seconds on a thread of their own (watch/poller.h). The log says so.
 *
 * No change is lost between reading and watching, if the watch is created before the first read: a
 * new path whose file changed after that, or after the last call of `on_change`, counts as changed.
 */
#ifndef GATEHOUSE_WATCH_WATCH_H
#define GATEHOUSE_WATCH_WATCH_H

#include "base/err.h"

#include <ev.h>
#include <stddef.h>

struct watch;

/*
 * Watches nothing yet. In `on_change` the owner reads its files again and calls watch_replace with what
 * it now depends on; it may destroy the watch there. NULL only when memory is out.
 */
struct watch *watch_create(struct ev_loop *loop, double quiet_seconds,
	void (*on_change)(void *owner), void *owner, struct err *err);

/* Replaces the set; the texts are copied. Relative paths start from the working directory. */
void watch_replace(struct watch *watch, const char *const *paths, size_t count);

void watch_destroy(struct watch *watch);

#endif
