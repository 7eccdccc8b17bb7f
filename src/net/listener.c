#include "net/listener.h"

#include "net/inherited.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 65535 /* the kernel cuts it to net.core.somaxconn */

static bool socket_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* What accepted connections inherit: no delay, and probes that find a peer that is gone. */
static void prepare_for_heirs(int fd)
{
	socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static void explain_bind(struct err *err, int error)
{
	if (error == EADDRINUSE)
		err_set(err,
			"address in use: another program, or another gatehouse, listens there");
	else if (error == EACCES)
		err_set(err, "no right to bind it (a port below 1024 needs CAP_NET_BIND_SERVICE)");
	else if (error == EADDRNOTAVAIL)
		err_set(err, "no interface of this machine has this address");
	else
		err_set(err, "cannot listen: %s", strerror(error));
	err_set_cause(err, error);
}

static void explain_unix(struct err *err, int error)
{
	if (error == EACCES || error == EPERM)
		err_set(err,
			"no right to make a socket there (with the sandbox a running gatehouse "
			"has it only where it had one from its start: restart or upgrade)");
	else
		explain_bind(err, error);
}

static bool listen_on(int fd, struct err *err)
{
	socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	prepare_for_heirs(fd);
	if (listen(fd, BACKLOG) == 0)
		return true;
	explain_bind(err, errno);
	return false;
}

static int open_socket(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && address->any.sa_family == AF_INET6)
		socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY,
			memcmp(&address->v6.sin6_addr, &in6addr_any, 16) != 0);
	return fd;
}

/*
 * Does this process listen there itself: a listener of another address that includes this one, or is included
 * in it; or one that a reload is about to close? Only where binding has failed, as it looks at every descriptor.
 */
static bool is_own(const struct address *address)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	bool found = false;
	while (dir && !found && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name), listening = 0;
		struct address bound = {.len = sizeof bound.un};
		socklen_t len = sizeof listening;
		found = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 &&
			listening && getsockname(fd, &bound.any, &bound.len) == 0 &&
			address_overlaps(&bound, address);
	}
	if (dir)
		closedir(dir);
	return found;
}

/*
 * Addresses of this process may overlap. The kernel prefers the more exact of two sockets, and IPv4's to one
 * of both versions, so that each listener gets its own connections; one that is about to be closed shares what
 * comes until then.
 */
static bool bind_beside_own(int fd, const struct address *address, struct err *err)
{
	if (!is_own(address)) {
		explain_bind(err, EADDRINUSE);
		return false;
	}
	socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (bind(fd, &address->any, address->len) == 0)
		return true;
	if (errno == EADDRINUSE)
		err_set(err,
			"address in use by a socket of this process that another user opened, or that "
			"was passed to it: a restart can change it");
	else
		explain_bind(err, errno);
	return false;
}

/*
 * The first socket binds without SO_REUSEPORT, which fails while another program is there, a second
 * copy of this one too; from then on the port is open to the sockets of this user.
 */
static bool bind_and_listen(int fd, const struct address *address, bool first, struct err *err)
{
	socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	socket_set(fd, SOL_SOCKET, SO_REUSEPORT, !first);
	if (bind(fd, &address->any, address->len) < 0) {
		if (errno == EADDRINUSE && first)
			return bind_beside_own(fd, address, err) && listen_on(fd, err);
		explain_bind(err, errno);
		return false;
	}
	return listen_on(fd, err);
}

static int bind_one(const struct address *address, bool first, struct err *err)
{
	int fd = open_socket(address);
	if (fd < 0) {
		explain_bind(err, errno);
		return -1;
	}
	if (bind_and_listen(fd, address, first, err))
		return fd;
	close(fd);
	return -1;
}

static bool open_tcp(struct listener *listener, const struct address *address, struct err *err)
{
	for (unsigned i = 0; i < listener->count; i++) {
		listener->fds[i] = bind_one(address, i == 0, err);
		if (listener->fds[i] < 0)
			return false;
	}
	return true;
}

static bool listener_share(struct listener *listener, int fd, struct err *err)
{
	for (unsigned i = 0; i < listener->count; i++) {
		listener->fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (listener->fds[i] < 0) {
			err_set_errno(err, errno, NULL);
			return false;
		}
	}
	return true;
}

static bool share_passed(struct listener *listener, int fd, struct err *err)
{
	listener->is_inherited = true;
	return listener_share(listener, fd, err);
}

static bool listener_grow(struct listener *listener, unsigned count)
{
	int *more = realloc(listener->fds, count * sizeof *more);
	if (!more)
		return false;
	memset(more + listener->count, -1, (count - listener->count) * sizeof *more);
	listener->fds = more;
	listener->count = count;
	return true;
}

/* Another socket of our own spreads connections best; where the port is another user's, share. */
static int one_more(const struct address *address, int sibling)
{
	struct err err;
	int fd = bind_one(address, false, &err);
	return fd >= 0 ? fd : fcntl(sibling, F_DUPFD_CLOEXEC, 3);
}

/* Each has a queue of its own: none may be closed, however many workers there are now. */
static bool take_over(
	struct listener *listener, const struct address *address, int fd, struct err *err)
{
	unsigned taken = 0;
	for (; fd >= 0; fd = inherited_adopt(address)) {
		if (taken == listener->count && !listener_grow(listener, taken + 1)) {
			close(fd);
			err_no_memory(err);
			return false;
		}
		listener->fds[taken++] = fd;
	}
	for (unsigned i = taken; i < listener->count; i++) {
		listener->fds[i] = one_more(address, listener->fds[i % taken]);
		if (listener->fds[i] < 0) {
			err_set_errno(err, errno, NULL);
			return false;
		}
	}
	return true;
}

static bool take_over_unix(
	struct listener *listener, const struct address *address, int fd, struct err *err)
{
	bool ok = listener_share(listener, fd, err);
	close(fd);
	listener->is_taken_over = true;
	listener->unlink_path = strdup(address->un.sun_path);
	return ok;
}

static bool is_alive(const struct address *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 && connect(fd, &address->any, address->len) == 0;
	if (fd >= 0)
		close(fd);
	return alive;
}

/* A socket file that nobody listens behind is left over from a run that was killed. */
static bool clear_path(const struct address *address, struct err *err)
{
	struct stat st;
	const char *path = address->un.sun_path;
	if (lstat(path, &st) < 0)
		return true;
	if (!S_ISSOCK(st.st_mode))
		err_set(err, "there is a file of that name already, and it is no socket");
	else if (is_alive(address))
		explain_bind(err, EADDRINUSE);
	else if (unlink(path) < 0)
		err_set_errno(err, errno, "cannot remove the old socket");
	else
		return true;
	return false;
}

static bool open_unix(struct listener *listener, const struct address *address, struct err *err)
{
	if (!clear_path(address, err))
		return false;
	int fd = open_socket(address);
	bool ok = fd >= 0 && bind(fd, &address->any, address->len) == 0;
	if (ok)
		listener->unlink_path = strdup(address->un.sun_path);
	ok = ok && listen(fd, BACKLOG) == 0;
	if (!ok)
		explain_unix(err, errno);
	ok = ok && listener_share(listener, fd, err);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* ":443" where the kernel has no IPv6. */
static void without_ipv6(struct address *address)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		close(fd);
		return;
	}
	in_port_t port = address->v6.sin6_port;
	*address = (struct address){
		.len = sizeof address->v4, .v4 = {.sin_family = AF_INET, .sin_port = port}};
}

static bool open_address(struct listener *listener, struct err *err)
{
	struct endpoint endpoint;
	struct address address;
	if (!endpoint_parse(listener->text, &endpoint, err))
		return false;
	if (!address_of_endpoint(&endpoint, &address)) {
		const char *zone = endpoint_zone(&endpoint);
		if (zone)
			err_set(err, "this machine has no interface \"%s\"", zone);
		else
			err_set(err, "expected an IP address, got the name \"%s\"", endpoint.host);
		return false;
	}
	if (!endpoint.is_unix && endpoint.host[0] == '\0')
		without_ipv6(&address);
	int fd = inherited_by_address(&address);
	if (fd >= 0)
		return share_passed(listener, fd, err);
	fd = inherited_adopt(&address);
	if (fd >= 0)
		return endpoint.is_unix ? take_over_unix(listener, &address, fd, err)
					: take_over(listener, &address, fd, err);
	return endpoint.is_unix ? open_unix(listener, &address, err)
				: open_tcp(listener, &address, err);
}

static bool open_passed(struct listener *listener, const char *name, struct err *err)
{
	int fd = inherited_by_name(name), listening = 0;
	socklen_t len = sizeof listening;
	if (fd < 0) {
		err_set(err,
			"no socket named \"%s\" was passed (FileDescriptorName= of the socket unit)",
			name);
		return false;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening) {
		err_set(err, "the passed socket \"%s\" does not listen", name);
		return false;
	}
	return share_passed(listener, fd, err);
}

struct listener *listener_open(const char *text, unsigned workers, struct err *err)
{
	struct listener *listener = calloc(1, sizeof *listener);
	if (!listener || !(listener->text = strdup(text)) ||
		!(listener->fds = malloc(workers * sizeof *listener->fds))) {
		err_no_memory(err);
		listener_close(listener);
		return NULL;
	}
	listener->count = listener->workers = workers;
	memset(listener->fds, -1, workers * sizeof *listener->fds);
	bool ok = strncmp(text, "fd:", 3) == 0 ? open_passed(listener, text + 3, err)
					       : open_address(listener, err);
	if (ok)
		return listener;
	listener_close(listener);
	return NULL;
}

void listener_hide(struct listener *listener)
{
	if (listener->unlink_path && (!listener->is_taken_over || inherited_is_settled()))
		unlink(listener->unlink_path);
	free(listener->unlink_path);
	listener->unlink_path = NULL;
}

void listener_shut(struct listener *listener)
{
	for (unsigned i = 0; listener->fds && i < listener->count; i++)
		if (listener->fds[i] >= 0)
			close(listener->fds[i]);
	listener_hide(listener);
	free(listener->fds);
	listener->fds = NULL;
}

void listener_close(struct listener *listener)
{
	if (!listener)
		return;
	listener_shut(listener);
	free(listener->text);
	free(listener);
}

unsigned listener_own_sockets(const struct listener *listener)
{
	if (!listener->fds || listener->is_inherited)
		return 0;
	return listener->unlink_path ? 1 : listener->count;
}

void listener_handed_over(struct listener *listener)
{
	free(listener->unlink_path);
	listener->unlink_path = NULL;
}
