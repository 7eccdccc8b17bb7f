/*
 * What a file held when it was read, so that the next load recognizes an unchanged file without parsing
 * it again: by stat, and where that is not certain by its digest.
 */
#ifndef GATEHOUSE_TLS_CERT_FILE_STAMP_H
#define GATEHOUSE_TLS_CERT_FILE_STAMP_H

#include "base/bytes.h"
#include "base/err.h"

#include <sys/stat.h>

struct file_stamp {
	char *path;
	dev_t dev;
	ino_t ino;
	off_t size;
	mode_t mode; /* its permissions */
	struct timespec mtime, ctime;
	bool settled; /* the last change was long enough before the reading for stat to show the next */
	uint8_t digest[32];
};

/*
 * Reads a file of at most FILE_STAMP_MAX bytes and stamps it. On true the caller frees `*data`
 * (wiping it first where it is secret) and ends the stamp with file_stamp_finish.
 */
#define FILE_STAMP_MAX (16 * 1024 * 1024)
bool file_stamp_read(
	struct file_stamp *stamp, const char *path, uint8_t **data, size_t *len, struct err *err);

/* Whether the path still names what was read. May refresh the stamp. */
bool file_stamp_holds(struct file_stamp *stamp);
bool file_stamp_same_content(const struct file_stamp *a, const struct file_stamp *b);
void file_stamp_finish(struct file_stamp *stamp);

#endif
