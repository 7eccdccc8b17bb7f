#include "client/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static bool from_file(const char *path, char *out, size_t size, struct err *err)
{
	FILE *file = fopen(path, "re");
	bool ok = file && fgets(out, (int)size, file);
	if (!ok)
		err_set(err, "passphrase file \"%s\": %s", path,
			file ? "is empty" : strerror(errno));
	if (file)
		fclose(file);
	if (ok)
		out[strcspn(out, "\r\n")] = '\0';
	return ok;
}

static bool read_line(int fd, char *out, size_t size)
{
	size_t len = 0;
	char c;
	while (read(fd, &c, 1) == 1 && c != '\n')
		if (len + 1 < size)
			out[len++] = c;
	out[len] = '\0';
	return len > 0;
}

static bool ask_at_terminal(int tty, const char *what, char *out, size_t size)
{
	struct termios before, silent;
	if (tcgetattr(tty, &before) < 0)
		return false;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	dprintf(tty, "Passphrase for %s: ", what);
	tcsetattr(tty, TCSAFLUSH, &silent);
	bool ok = read_line(tty, out, size);
	tcsetattr(tty, TCSAFLUSH, &before);
	dprintf(tty, "\n");
	return ok;
}

bool passphrase_get(void *owner, const char *what, char *out, size_t size, struct err *err)
{
	if (owner)
		return from_file(owner, out, size, err);
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	bool ok = tty >= 0 && ask_at_terminal(tty, what, out, size);
	if (!ok)
		err_set(err,
			tty >= 0 ? "no passphrase was entered"
				 : "is encrypted, and there is no terminal to read its passphrase "
				   "from; give a file with --passphrase-file");
	if (tty >= 0)
		close(tty);
	return ok;
}
