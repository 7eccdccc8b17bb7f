#include "net/passed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PASSED 3
#define PASSED_MOST  64

static struct {
	int count;
	char names[PASSED_MOST][64];
} passed;

static void take_names(const char *names)
{
	for (int i = 0; names && i < passed.count; i++) {
		size_t len = strcspn(names, ":");
		if (len < sizeof passed.names[i])
			memcpy(passed.names[i], names, len);
		names = names[len] == ':' ? names + len + 1 : NULL;
	}
}

void passed_take(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	if (pid && count && strtol(pid, NULL, 10) == getpid()) {
		long number = strtol(count, NULL, 10);
		passed.count = number < 0 ? 0 : number > PASSED_MOST ? PASSED_MOST : (int)number;
		take_names(getenv("LISTEN_FDNAMES"));
	}
	for (int i = 0; i < passed.count; i++) {
		fcntl(FIRST_PASSED + i, F_SETFD, FD_CLOEXEC);
		fcntl(FIRST_PASSED + i, F_SETFL, fcntl(FIRST_PASSED + i, F_GETFL) | O_NONBLOCK);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int passed_by_name(const char *name)
{
	for (int i = 0; i < passed.count; i++)
		if (strcmp(passed.names[i], name) == 0)
			return FIRST_PASSED + i;
	return -1;
}

static bool is_same(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port &&
			a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	if (a->any.sa_family == AF_INET6)
		return a->v6.sin6_port == b->v6.sin6_port &&
			memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
	return strcmp(a->un.sun_path, b->un.sun_path) == 0;
}

int passed_by_address(const struct address *address)
{
	for (int i = 0; i < passed.count; i++) {
		struct address bound = {.len = sizeof bound.un};
		if (getsockname(FIRST_PASSED + i, &bound.any, &bound.len) == 0 &&
			is_same(&bound, address))
			return FIRST_PASSED + i;
	}
	return -1;
}
