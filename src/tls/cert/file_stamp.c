#include "tls/cert/file_stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Time stamps of files move in steps of the kernel's tick, and some file systems know only seconds. */
#define SETTLED_AFTER_SECONDS 2

static void stamp_set(struct file_stamp *stamp, const struct stat *st)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	stamp->dev = st->st_dev;
	stamp->ino = st->st_ino;
	stamp->size = st->st_size;
	stamp->mode = st->st_mode & 07777;
	stamp->mtime = st->st_mtim;
	stamp->ctime = st->st_ctim;
	stamp->settled = now.tv_sec > st->st_ctim.tv_sec + SETTLED_AFTER_SECONDS;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stat(const struct file_stamp *stamp, const struct stat *st)
{
	return stamp->dev == st->st_dev && stamp->ino == st->st_ino && stamp->size == st->st_size &&
		same_time(stamp->mtime, st->st_mtim) && same_time(stamp->ctime, st->st_ctim);
}

static bool check_kind(const struct stat *st, struct err *err)
{
	if (S_ISDIR(st->st_mode))
		err_set(err, "is a directory, expected a file");
	else if (!S_ISREG(st->st_mode))
		err_set(err, "is not a regular file");
	else if (st->st_size == 0)
		err_set(err, "is empty");
	else if (st->st_size > FILE_STAMP_MAX)
		err_set(err, "is larger than 16 MiB");
	else
		return true;
	return false;
}

/* Reads one byte more than fstat reported, to notice a file that grows meanwhile. */
static bool read_whole(int fd, size_t size, uint8_t *data, size_t *len)
{
	size_t got = 0;
	while (got <= size) {
		ssize_t n = read(fd, data + got, size + 1 - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	*len = got;
	return true;
}

static bool read_open(
	struct file_stamp *stamp, int fd, uint8_t **data, size_t *len, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		err_set_errno(err, errno, NULL);
		return false;
	}
	if (!check_kind(&st, err))
		return false;
	size_t size = (size_t)st.st_size;
	uint8_t *bytes = malloc(size + 1);
	if (!bytes || !read_whole(fd, size, bytes, len)) {
		err_set_errno(err, bytes ? errno : ENOMEM, NULL);
		if (bytes)
			OPENSSL_cleanse(bytes, size + 1);
		free(bytes);
		return false;
	}
	if (*len != size) {
		err_set(err, "changed while it was read");
		err_set_cause(err, EAGAIN);
		OPENSSL_cleanse(bytes, size + 1);
		free(bytes);
		return false;
	}
	stamp_set(stamp, &st);
	*data = bytes;
	return true;
}

bool file_stamp_read(
	struct file_stamp *stamp, const char *path, uint8_t **data, size_t *len, struct err *err)
{
	*stamp = (struct file_stamp){0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		if (errno == ENOENT)
			err_set(err, "no such file");
		else
			err_set_errno(err, errno, NULL);
		return false;
	}
	bool ok = read_open(stamp, fd, data, len, err);
	close(fd);
	if (!ok)
		return false;
	stamp->path = strdup(path);
	if (stamp->path && EVP_Digest(*data, *len, stamp->digest, NULL, EVP_sha256(), NULL) == 1)
		return true;
	err_no_memory(err);
	OPENSSL_cleanse(*data, *len);
	free(*data);
	file_stamp_finish(stamp);
	return false;
}

bool file_stamp_holds(struct file_stamp *stamp)
{
	struct stat st;
	if (stat(stamp->path, &st) < 0)
		return false;
	if (stamp->settled && same_stat(stamp, &st))
		return true;
	struct file_stamp now;
	struct err ignored;
	uint8_t *data;
	size_t len;
	if (!file_stamp_read(&now, stamp->path, &data, &len, &ignored))
		return false;
	OPENSSL_cleanse(data, len);
	free(data);
	bool same = file_stamp_same_content(stamp, &now);
	if (same) {
		stamp_set(stamp, &st);
		stamp->settled = now.settled;
	}
	file_stamp_finish(&now);
	return same;
}

bool file_stamp_same_content(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->size == b->size && memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

void file_stamp_finish(struct file_stamp *stamp)
{
	free(stamp->path);
	stamp->path = NULL;
}
