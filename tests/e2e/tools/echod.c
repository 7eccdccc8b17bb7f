/* A server that echoes, or does one of the less kind things a backend may do. */
#include "tool.h"

#include <arpa/inet.h>
#include <pthread.h>

#define BLOCK 65536

static const char help[] =
	"usage: echod [options] ADDRESS\n"
	"ADDRESS is HOST:PORT (port 0: any) or unix:PATH. Prints \"listening ADDRESS\" when it is.\n"
	"  --count FILE       FILE always holds the number of connections so far\n"
	"  --record FILE      append every byte that comes to FILE\n"
	"  --greet TEXT       say TEXT first\n"
	"  --delay MS         wait before the first answer\n"
	"  --close-after N    close (FIN) after N bytes have come\n"
	"  --reset-after N    reset after N bytes have come\n"
	"  --sink             read everything, answer nothing\n"
	"  --source N         send N bytes, then a FIN; then read to the end\n"
	"  --half-close-test  read to the end, then answer \"got N bytes\" and close\n"
	"  --backlog N        of listen(2) (default 4096)\n";

enum role { ECHO_BACK, SINK, SOURCE, HALF_CLOSE_TEST };

static struct server {
	const char *greeting, *count_file;
	FILE *record;
	long delay_ms, close_after, reset_after; /* -1: never */
	unsigned long long source_bytes;
	enum role role;
	int backlog;
	pthread_mutex_t lock;
	unsigned long accepted;
} server = {
	.close_after = -1,
	.reset_after = -1,
	.backlog = 4096,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* Renamed into place, so that a reader never sees half a number. */
static void count_one(void)
{
	char next[4096];
	server.accepted++;
	if (!server.count_file)
		return;
	snprintf(next, sizeof next, "%s.next", server.count_file);
	FILE *file = fopen(next, "w");
	if (!file || fprintf(file, "%lu\n", server.accepted) < 0 || fclose(file) != 0 ||
		rename(next, server.count_file) < 0)
		die("%s: %s", server.count_file, strerror(errno));
}

static void record_bytes(const char *data, size_t len)
{
	if (!server.record)
		return;
	pthread_mutex_lock(&server.lock);
	fwrite(data, 1, len, server.record);
	fflush(server.record);
	pthread_mutex_unlock(&server.lock);
}

/* Bytes that can be checked: the alphabet, over and over. */
static bool send_source(int fd)
{
	char block[26 * 1024];
	for (size_t i = 0; i < sizeof block; i++)
		block[i] = (char)('a' + i % 26);
	for (unsigned long long left = server.source_bytes; left > 0;) {
		size_t len = left < sizeof block ? (size_t)left : sizeof block;
		if (!send_all(fd, block, len))
			return false;
		left -= len;
	}
	return shutdown(fd, SHUT_WR) == 0;
}

/* False when the connection is to be closed now. */
static bool take(int fd, const char *data, size_t len, unsigned long long total)
{
	record_bytes(data, len);
	if (server.reset_after >= 0 && total >= (unsigned long long)server.reset_after) {
		reset_on_close(fd);
		return false;
	}
	if (server.role == ECHO_BACK && !send_all(fd, data, len))
		return false;
	return server.close_after < 0 || total < (unsigned long long)server.close_after;
}

static void converse(int fd)
{
	char data[BLOCK], answer[64];
	unsigned long long total = 0;
	ssize_t n;
	if (server.delay_ms > 0)
		sleep_us(server.delay_ms * 1000);
	if (server.greeting && !send_all(fd, server.greeting, strlen(server.greeting)))
		return;
	if (server.role == SOURCE && !send_source(fd))
		return;
	if (!take(fd, data, 0, 0)) /* --close-after 0 */
		return;
	while ((n = recv(fd, data, sizeof data, 0)) > 0) {
		total += (size_t)n;
		if (!take(fd, data, (size_t)n, total))
			return;
	}
	snprintf(answer, sizeof answer, "got %llu bytes\n", total);
	if (n == 0 && server.role == HALF_CLOSE_TEST)
		send_all(fd, answer, strlen(answer));
}

static void *run_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	converse(fd);
	close(fd);
	return NULL;
}

static void start_connection(int fd)
{
	pthread_attr_t small;
	pthread_t thread;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 4 * BLOCK);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &small, run_connection, (void *)(intptr_t)fd) != 0)
		close(fd);
	pthread_attr_destroy(&small);
}

static int listen_on(const struct endpoint *here, const char *text)
{
	int fd = socket(here->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (here->any.sa_family == AF_UNIX)
		unlink(here->path.sun_path);
	if (fd < 0 || bind(fd, &here->any, here->len) < 0 || listen(fd, server.backlog) < 0)
		die("%s: %s", text, strerror(errno));
	return fd;
}

static void say_listening(int fd, const char *text)
{
	struct endpoint here = {.len = sizeof here.storage};
	char host[NI_MAXHOST], port[NI_MAXSERV];
	getsockname(fd, &here.any, &here.len);
	if (here.any.sa_family == AF_UNIX)
		printf("listening %s\n", text);
	else if (getnameinfo(&here.any, here.len, host, sizeof host, port, sizeof port,
			 NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		printf("listening %s:%s\n", host, port);
	fflush(stdout);
}

enum {
	COUNT = 256,
	KEEP,
	GREET,
	DELAY,
	CLOSE_AFTER,
	RESET_AFTER,
	BE_SINK,
	BE_SOURCE,
	HALF_CLOSE,
	BACKLOG
};

static const struct option options[] = {
	{"count", required_argument, NULL, COUNT},
	{"record", required_argument, NULL, KEEP},
	{"greet", required_argument, NULL, GREET},
	{"delay", required_argument, NULL, DELAY},
	{"close-after", required_argument, NULL, CLOSE_AFTER},
	{"reset-after", required_argument, NULL, RESET_AFTER},
	{"sink", no_argument, NULL, BE_SINK},
	{"source", required_argument, NULL, BE_SOURCE},
	{"half-close-test", no_argument, NULL, HALF_CLOSE},
	{"backlog", required_argument, NULL, BACKLOG},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void parse(int argc, char **argv)
{
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case COUNT:
			server.count_file = optarg;
			break;
		case KEEP:
			server.record = fopen(optarg, "ab");
			break;
		case GREET:
			server.greeting = optarg;
			break;
		case DELAY:
			server.delay_ms = number(optarg, 0, 600000);
			break;
		case CLOSE_AFTER:
			server.close_after = number(optarg, 0, LONG_MAX);
			break;
		case RESET_AFTER:
			server.reset_after = number(optarg, 0, LONG_MAX);
			break;
		case BE_SINK:
			server.role = SINK;
			break;
		case BE_SOURCE:
			server.role = SOURCE;
			server.source_bytes = (unsigned long long)number(optarg, 0, LONG_MAX);
			break;
		case HALF_CLOSE:
			server.role = HALF_CLOSE_TEST;
			break;
		case BACKLOG:
			server.backlog = (int)number(optarg, 0, 65535);
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind + 1 != argc)
		show_help(help, '?');
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	need_descriptors(10000);
	struct endpoint here = parse_endpoint(argv[optind]);
	int listener = listen_on(&here, argv[optind]);
	say_listening(listener, argv[optind]);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (here.any.sa_family != AF_UNIX)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		count_one();
		start_connection(fd);
	}
}
