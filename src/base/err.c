#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_set(struct err *err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	err->is_passing = false;
}

void err_prefix(struct err *err, const char *format, ...)
{
	char before[sizeof err->text];
	memcpy(before, err->text, sizeof before);
	va_list args;
	va_start(args, format);
	int used = vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof err->text)
		snprintf(err->text + used, sizeof err->text - (size_t)used, "%s", before);
}

void err_set_cause(struct err *err, int error)
{
	static const int passing[] = {ENOMEM, ENOBUFS, EMFILE, ENFILE, EAGAIN, EINTR, EIO, ENOSPC,
		EDQUOT, EADDRINUSE, ETIMEDOUT, ESTALE};
	err->is_passing = false;
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		err->is_passing |= error == passing[i];
}

void err_set_errno(struct err *err, int error, const char *what)
{
	err_set(err, "%s%s%s", what ? what : "", what ? ": " : "", strerror(error));
	err_set_cause(err, error);
}

void err_no_memory(struct err *err)
{
	err_set(err, "out of memory");
	err_set_cause(err, ENOMEM);
}
