/* Finds a TCP port that nobody uses and nobody else, of those who ask this tool, will be given. */
#include "tool.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

/* Below Linux's range of ports for outgoing connections, which come and go as they like. */
#define FIRST_PORT 12000
#define LAST_PORT  31999
#define PORTS      (LAST_PORT - FIRST_PORT + 1)

static const char help[] =
	"usage: freeport DIRECTORY PID\n"
	"Prints a free port. DIRECTORY/PORT holds PID from then on and keeps others from the port;\n"
	"remove it when done. The claim of a process that is no more does not count.\n";

static bool is_stale(const char *claim)
{
	char text[32] = "";
	int fd = open(claim, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t len = read(fd, text, sizeof text - 1);
	close(fd);
	/* An empty claim is being written just now. */
	return len > 0 && kill((pid_t)atol(text), 0) < 0 && errno == ESRCH;
}

static bool claim_port(const char *claim, const char *pid)
{
	if (is_stale(claim))
		unlink(claim);
	int fd = open(claim, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno != EEXIST)
		die("%s: %s", claim, strerror(errno));
	if (fd < 0)
		return false;
	if (write(fd, pid, strlen(pid)) < 0)
		die("%s: %s", claim, strerror(errno));
	close(fd);
	return true;
}

static bool is_free(unsigned port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_ours = bind(fd, (const struct sockaddr *)&any4, sizeof any4) == 0;
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return is_ours; /* a machine without IPv6 */
	is_ours = is_ours && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0;
	close(fd);
	return is_ours;
}

int main(int argc, char **argv)
{
	char claim[4096];
	if (argc != 3)
		show_help(help, argc == 2 && strcmp(argv[1], "--help") == 0 ? 'h' : '?');
	mkdir(argv[1], 0777);
	unsigned start = (unsigned)(now_us() ^ (unsigned)getpid() * 7919u) % PORTS;
	for (unsigned i = 0; i < PORTS; i++) {
		unsigned port = FIRST_PORT + (start + i) % PORTS;
		snprintf(claim, sizeof claim, "%s/%u", argv[1], port);
		if (!claim_port(claim, argv[2]))
			continue;
		if (is_free(port)) {
			printf("%u\n", port);
			return 0;
		}
		unlink(claim);
	}
	die("no port is free");
}
