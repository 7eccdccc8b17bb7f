/*
 * What a file held when it was read, so that the next load can tell an unchanged one without parsing
 * it again: first by what stat says, and where that is not beyond doubt by its digest.
 */
#ifndef GATEHOUSE_TLS_CERT_FILE_STAMP_H
#define GATEHOUSE_TLS_CERT_FILE_STAMP_H

#include "base/bytes.h"
#include "base/err.h"

#include <sys/stat.h>

struct file_mark {
	char *path;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	bool settled; /* the last change was long enough before the reading for stat to show the next */
	uint8_t digest[32];
};

/*
 * Reads a file of at most FILE_MARK_MOST bytes and marks it. On true the caller frees `*data`
 * (wiping it first where it is secret) and ends the mark with file_mark_finish.
 */
#define FILE_MARK_MOST (16 * 1024 * 1024)
bool file_mark_read(
	struct file_mark *mark, const char *path, uint8_t **data, size_t *len, struct err *err);

/* Is what the path names now still what was marked? May refresh the mark. */
bool file_mark_holds(struct file_mark *mark);
bool file_mark_same_content(const struct file_mark *a, const struct file_mark *b);
void file_mark_finish(struct file_mark *mark);

#endif
