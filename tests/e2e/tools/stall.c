/* A relay that stops in the middle: of what the client says the first burst passes, the rest later. */
#include "tool.h"

static const char help[] =
	"usage: stall [options] LISTEN TARGET\n"
	"Addresses are HOST:PORT or unix:PATH. Serves one connection and prints \"listening\", then\n"
	"\"stalled\" when it holds back something. What TARGET says passes at all times.\n"
	"  --until FILE   lets the rest through once FILE is there\n"
	"  --timeout S    gives up after S seconds (default 30)\n";

static const char *until;

static int listen_on(const struct endpoint *at)
{
	int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (fd < 0 || bind(fd, &at->any, at->len) < 0 || listen(fd, 1) < 0)
		die("cannot listen: %s", strerror(errno));
	puts("listening");
	fflush(stdout);
	return fd;
}

/* One burst from one side to the other; false at its end. */
static bool pass(int from, int to)
{
	char data[65536];
	ssize_t n = recv(from, data, sizeof data, 0);
	if (n > 0)
		return send_all(to, data, (size_t)n);
	shutdown(to, SHUT_WR);
	return false;
}

static bool may_pass(bool *is_stalled)
{
	if (!*is_stalled)
		puts("stalled");
	fflush(stdout);
	*is_stalled = true;
	return access(until, F_OK) == 0;
}

static void relay(int client, int target, uint64_t deadline)
{
	struct pollfd fds[2] = {{.fd = client, .events = POLLIN}, {.fd = target, .events = POLLIN}};
	bool is_first = true, is_stalled = false, is_held = false;
	while ((fds[0].fd >= 0 || fds[1].fd >= 0 || is_held) && now_us() < deadline) {
		poll(fds, 2, 20);
		if (is_held && may_pass(&is_stalled)) {
			is_held = false;
			fds[0].fd = client;
			is_first = true; /* nothing is held back any more */
			until = "/";
		}
		if (fds[1].fd >= 0 && fds[1].revents && !pass(target, client))
			fds[1].fd = -1;
		if (fds[0].fd < 0 || !fds[0].revents)
			continue;
		if (!is_first && !may_pass(&is_stalled)) {
			is_held = true;
			fds[0].fd = -1;
			continue;
		}
		is_first = false;
		if (!pass(client, target))
			fds[0].fd = -1;
	}
}

int main(int argc, char **argv)
{
	enum { UNTIL = 256, TIMEOUT };
	static const struct option options[] = {{"until", required_argument, NULL, UNTIL},
		{"timeout", required_argument, NULL, TIMEOUT}, {"help", no_argument, NULL, 'h'},
		{0}};
	uint64_t seconds = 30;
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (option == UNTIL)
			until = optarg;
		else if (option == TIMEOUT)
			seconds = (uint64_t)number(optarg, 1, 600);
		else
			show_help(help, option);
	}
	if (argc - optind != 2 || !until)
		show_help(help, '?');
	signal(SIGPIPE, SIG_IGN);
	struct endpoint at = parse_endpoint(argv[optind]), to = parse_endpoint(argv[optind + 1]);
	int listener = listen_on(&at), client = accept(listener, NULL, NULL),
	    target = connect_to(&to);
	if (client < 0 || target < 0)
		die("cannot connect: %s", strerror(errno));
	relay(client, target, now_us() + seconds * 1000000);
	return 0;
}
