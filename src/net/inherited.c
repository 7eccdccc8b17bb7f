#include "net/inherited.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PASSED 3

struct passed_socket {
	int fd; /* -1: claimed */
	char name[INHERITED_NAME_MAX];
};

static struct {
	int count;
	struct passed_socket *sockets;
	bool is_settled;
} passed;

static void take_names(const char *names)
{
	for (int i = 0; names && i < passed.count; i++) {
		size_t len = strcspn(names, ":");
		if (len < sizeof passed.sockets[i].name)
			memcpy(passed.sockets[i].name, names, len);
		names = names[len] == ':' ? names + len + 1 : NULL;
	}
}

static void take_sockets(long count)
{
	count = count > INHERITED_MAX ? INHERITED_MAX : count;
	if (count <= 0 || !(passed.sockets = calloc((size_t)count, sizeof *passed.sockets)))
		return;
	passed.count = (int)count;
	for (int i = 0; i < passed.count; i++) {
		int fd = FIRST_PASSED + i;
		passed.sockets[i].fd = fd;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	}
}

void inherited_take(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	if (pid && count && strtol(pid, NULL, 10) == getpid()) {
		take_sockets(strtol(count, NULL, 10));
		take_names(getenv("LISTEN_FDNAMES"));
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static bool is_own(const struct passed_socket *passed_socket)
{
	return strcmp(passed_socket->name, INHERITED_OWN) == 0;
}

int inherited_by_name(const char *name)
{
	for (int i = 0; i < passed.count; i++)
		if (!is_own(&passed.sockets[i]) && strcmp(passed.sockets[i].name, name) == 0)
			return passed.sockets[i].fd;
	return -1;
}

static struct passed_socket *find(const struct address *address, bool own)
{
	for (int i = 0; i < passed.count; i++) {
		struct address bound = {.len = sizeof bound.un};
		struct passed_socket *found = &passed.sockets[i];
		if (found->fd >= 0 && is_own(found) == own &&
			getsockname(found->fd, &bound.any, &bound.len) == 0 &&
			address_is_same(&bound, address))
			return found;
	}
	return NULL;
}

int inherited_by_address(const struct address *address)
{
	struct passed_socket *found = find(address, false);
	return found ? found->fd : -1;
}

int inherited_adopt(const struct address *address)
{
	struct passed_socket *found = find(address, true);
	int fd = found ? found->fd : -1;
	if (found)
		found->fd = -1;
	return fd;
}

bool inherited_is_settled(void)
{
	return passed.is_settled;
}

static bool is_unclaimed(const struct passed_socket *passed_socket)
{
	return passed_socket->fd >= 0 && is_own(passed_socket);
}

static bool has_path(const struct passed_socket *passed_socket, struct address *out)
{
	*out = (struct address){.len = sizeof out->un};
	return getsockname(passed_socket->fd, &out->any, &out->len) == 0 &&
		out->any.sa_family == AF_UNIX && out->un.sun_path[0] == '/';
}

bool inherited_unadopted_path(size_t index, struct address *out)
{
	for (int i = 0; i < passed.count; i++)
		if (is_unclaimed(&passed.sockets[i]) && has_path(&passed.sockets[i], out) &&
			index-- == 0)
			return true;
	return false;
}

void inherited_settle(void)
{
	passed.is_settled = true;
	for (int i = 0; i < passed.count; i++) {
		struct passed_socket *left = &passed.sockets[i];
		struct address bound;
		if (!is_unclaimed(left))
			continue;
		if (has_path(left, &bound))
			unlink(bound.un.sun_path);
		close(left->fd);
		left->fd = -1;
	}
}

bool inherited_borrowed(size_t index, int *fd, const char **name)
{
	for (int i = 0; i < passed.count; i++) {
		if (is_own(&passed.sockets[i]) || index-- > 0)
			continue;
		*fd = passed.sockets[i].fd;
		*name = passed.sockets[i].name;
		return true;
	}
	return false;
}
