#include "daemon/systemd.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	int fd; /* 0: none */
	struct sockaddr_un address;
	socklen_t len;
	uint64_t watchdog_us;
} notify;

static void take_socket(const char *path)
{
	size_t len = path ? strlen(path) : 0;
	if (len < 2 || len >= sizeof notify.address.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	notify.address.sun_family = AF_UNIX;
	memcpy(notify.address.sun_path, path, len);
	if (path[0] == '@')
		notify.address.sun_path[0] = '\0';
	notify.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	notify.fd = fd > 0 ? fd : 0;
	/* The sandbox closes abstract sockets, but for one that is connected by then. */
	if (notify.fd && path[0] == '@')
		connect(fd, (struct sockaddr *)&notify.address, notify.len);
}

static void take_watchdog(const char *usec, const char *pid)
{
	if (usec && (!pid || strtol(pid, NULL, 10) == getpid()))
		notify.watchdog_us = strtoull(usec, NULL, 10);
}

void systemd_init(void)
{
	take_socket(getenv("NOTIFY_SOCKET"));
	take_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void systemd_notify(const char *format, ...)
{
	char text[1024];
	va_list args;
	if (!notify.fd)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	sendto(notify.fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&notify.address,
		notify.len);
}

void systemd_notify_reloading(void)
{
	systemd_notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_now_us());
}

void systemd_retire(void)
{
	if (notify.fd)
		close(notify.fd);
	notify.fd = 0;
}

uint64_t systemd_watchdog_us(void)
{
	return notify.watchdog_us;
}
