/* What inotify(7) cannot be relied on for. */
#ifndef GATEHOUSE_WATCH_FILE_SYSTEM_H
#define GATEHOUSE_WATCH_FILE_SYSTEM_H

#include <stdbool.h>

/*
 * True when what `path` leads to is on a file system that others change too: another machine, a
 * process behind FUSE, what goes by the directory below it. inotify reports only what goes through
 * this kernel and this mount. False also when it cannot be found out.
 */
bool file_system_is_silent(const char *path);

#endif
