#include "client/private_listener.h"

#include "net/owner/tcp_peer_uid.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG     128
#define SOCKET_NAME "/socket"

static bool make_directory_in(struct private_listener *listener, const char *parent)
{
	int len = snprintf(listener->directory, sizeof listener->directory - sizeof SOCKET_NAME,
		"%s/gatehouse-XXXXXX", parent);
	if (len > 0 && (size_t)len < sizeof listener->directory - sizeof SOCKET_NAME &&
		mkdtemp(listener->directory))
		return true;
	listener->directory[0] = '\0';
	return false;
}

/* mkdtemp gives it mode 0700. */
static bool make_directory(struct private_listener *listener, struct err *err)
{
	const char *places[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (places[i] && *places[i] == '/' && make_directory_in(listener, places[i]))
			return true;
	err_set(err, "cannot make a directory for the socket in /tmp: %s", strerror(errno));
	return false;
}

static bool place_socket(struct private_listener *listener, struct err *err)
{
	struct sockaddr_un *un = &listener->address.un;
	if (un->sun_path[0] != '\0')
		return true;
	if (!make_directory(listener, err))
		return false;
	size_t len = strlen(listener->directory); /* make_directory_in has checked that it fits */
	memcpy(un->sun_path, listener->directory, len);
	memcpy(un->sun_path + len, SOCKET_NAME, sizeof SOCKET_NAME);
	listener->address.len = sizeof *un;
	return true;
}

static bool bind_address(struct private_listener *listener)
{
	struct address *address = &listener->address;
	mode_t before = umask(0177);
	bool ok = bind(listener->fd, &address->any, address->len) == 0;
	umask(before);
	if (!ok || address->any.sa_family == AF_UNIX)
		return ok;
	return getsockname(listener->fd, &address->any, &address->len) == 0;
}

static const char *bind_error_text(const struct address *address, int error)
{
	if (error != EADDRINUSE)
		return strerror(error);
	return address->any.sa_family == AF_UNIX ? "the file exists already"
						 : "in use by another program";
}

static void set_open_error(const struct private_listener *listener, struct err *err)
{
	char text[ADDRESS_TEXT_MAX];
	int error = errno;
	address_text(&listener->address.any, listener->address.len, text);
	err_set(err, "%s: %s", text, bind_error_text(&listener->address, error));
}

bool private_listener_open(
	struct private_listener *listener, const struct address *address, struct err *err)
{
	*listener = (struct private_listener){.fd = -1, .address = *address};
	sa_family_t family = address->any.sa_family;
	if (family == AF_UNIX && !place_socket(listener, err))
		return false;
	listener->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener->fd >= 0 && family != AF_UNIX)
		setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (listener->fd >= 0 && bind_address(listener) && listen(listener->fd, BACKLOG) == 0)
		return true;
	set_open_error(listener, err);
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	if (listener->directory[0])
		rmdir(listener->directory);
	return false;
}

void private_listener_close(struct private_listener *listener)
{
	if (listener->fd < 0)
		return;
	close(listener->fd);
	listener->fd = -1;
	if (listener->address.any.sa_family == AF_UNIX)
		unlink(listener->address.un.sun_path);
	if (listener->directory[0])
		rmdir(listener->directory);
}

/* A socket without a known owner may have been any user's, and is refused. */
static bool is_own_peer(int fd, const struct address *peer, struct err *why)
{
	struct ucred cred;
	socklen_t len = sizeof cred;
	uid_t uid = 0;
	bool known;
	if (peer->any.sa_family == AF_UNIX) {
		known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0;
		uid = known ? cred.uid : 0;
	} else {
		struct address own = {.len = sizeof own.v6};
		known = getsockname(fd, &own.any, &own.len) == 0 && tcp_peer_uid(peer, &own, &uid);
	}
	if (known && uid == geteuid())
		return true;
	if (known)
		err_set(why, "refused a connection of user %u: only user %u may connect",
			(unsigned)uid, (unsigned)geteuid());
	else
		err_set(why, "refused a connection: it closed before its user was known");
	return false;
}

int private_listener_accept(const struct private_listener *listener, struct err *why)
{
	struct address peer = {.len = sizeof peer - offsetof(struct address, any)};
	int fd = accept4(listener->fd, &peer.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return -1;
	peer.any.sa_family = listener->address.any.sa_family;
	if (!is_own_peer(fd, &peer, why)) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	if (peer.any.sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return fd;
}
