/* What the small test tools share: complaints, numbers, addresses ("HOST:PORT" or "unix:PATH"). */
#ifndef GATEHOUSE_TESTS_TOOL_H
#define GATEHOUSE_TESTS_TOOL_H

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

__attribute__((noreturn)) static inline void show_help(const char *text, int option)
{
	fputs(text, option == 'h' ? stdout : stderr);
	exit(option == 'h' ? 0 : 2);
}

static inline long number(const char *text, long least, long most)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	if (errno || *text == '\0' || *end != '\0' || value < least || value > most)
		die("expected a number from %ld to %ld, got \"%s\"", least, most, text);
	return value;
}

static inline uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline void sleep_us(long us)
{
	struct timespec left = {us / 1000000, us % 1000000 * 1000};
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}

struct endpoint {
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
		struct sockaddr_un path;
	};
	socklen_t len;
};

static inline struct endpoint parse_endpoint(const char *text)
{
	struct endpoint out = {.len = 0};
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char host[256];
	if (strncmp(text, "unix:", 5) == 0) {
		out.path.sun_family = AF_UNIX;
		snprintf(out.path.sun_path, sizeof out.path.sun_path, "%s", text + 5);
		out.len = sizeof out.path;
		return out;
	}
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof host)
		die("expected HOST:PORT or unix:PATH, got \"%s\"", text);
	bool is_bracketed = text[0] == '[' && colon[-1] == ']';
	snprintf(host, sizeof host, "%.*s", (int)(colon - text) - 2 * is_bracketed,
		text + is_bracketed);
	int problem = getaddrinfo(host, colon + 1, &hints, &found);
	if (problem)
		die("%s: %s", text, gai_strerror(problem));
	memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
	out.len = found->ai_addrlen;
	freeaddrinfo(found);
	return out;
}

/* -1 with errno when the peer does not take it. */
static inline int connect_to(const struct endpoint *peer)
{
	int fd = socket(peer->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (peer->any.sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, &peer->any, peer->len) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* The next close sends a reset instead of a FIN. */
static inline void reset_on_close(int fd)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static inline bool send_all(int fd, const void *data, size_t len)
{
	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(fd, (const char *)data + sent, len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		sent += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static inline void need_descriptors(rlim_t count)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= count)
		return;
	limit.rlim_cur = count;
	if (limit.rlim_max < count)
		limit.rlim_max = count; /* only root may */
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("%lu descriptors: %s", (unsigned long)count, strerror(errno));
}

/* A whole file, or standard input for "-". */
static inline uint8_t *read_file(const char *path, size_t *len)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	size_t size = 65536;
	uint8_t *data = malloc(size);
	if (!file || !data)
		die("%s: %s", path, strerror(errno));
	*len = 0;
	for (size_t n; (n = fread(data + *len, 1, size - *len, file)) > 0;) {
		*len += n;
		if (*len == size && !(data = realloc(data, size *= 2)))
			die("%s: out of memory", path);
	}
	if (file != stdin)
		fclose(file);
	return data;
}

#endif
