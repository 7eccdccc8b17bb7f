#include "net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#define PROBES      3
#define SECONDS_MAX 32000 /* the kernel's limit of these options */

int socket_connect(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (address->any.sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, &address->any, address->len) == 0 || errno == EINPROGRESS)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

int socket_connect_outcome(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	if (poll(&poll_fd, 1, 0) <= 0)
		return EINPROGRESS;
	return poll_fd.revents & (POLLERR | POLLHUP) ? socket_error(fd) : 0;
}

int socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

void socket_reset_on_close(int fd)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void set_seconds(int fd, int option, uint64_t seconds)
{
	int value = seconds < 1 ? 1 : seconds > SECONDS_MAX ? SECONDS_MAX : (int)seconds;
	setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

void socket_keep_alive(int fd, uint64_t ms)
{
	int longest = (int)(2 * ms);
	if (ms == 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
	set_seconds(fd, TCP_KEEPIDLE, ms / 1000);
	set_seconds(fd, TCP_KEEPINTVL, ms / 1000 / PROBES);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){PROBES}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &longest, sizeof longest);
}
