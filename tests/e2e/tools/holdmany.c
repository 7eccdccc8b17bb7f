/* Opens many connections, may say the beginning of something on each, and holds them all. */
#include "tool.h"

static const char help[] =
	"usage: holdmany [options] ADDRESS\n"
	"  --count N        connections, 1 to 9500 (default 100)\n"
	"  --file FILE      send what is in FILE on each\n"
	"  --first N        only its first N bytes\n"
	"  --hold SECONDS   then close them all and leave (default 10, at most 600)\n"
	"Prints \"holding N failed M\" once all are open or refused, and at the end, or on SIGTERM,\n"
	"\"closed N\", how many the peer had ended by then. Exit status 0 if none failed.\n";

static volatile sig_atomic_t is_told_to_stop;

static void on_signal(int number_)
{
	(void)number_;
	is_told_to_stop = 1;
}

static size_t open_all(struct pollfd *held, size_t count, const struct endpoint *peer,
	const uint8_t *data, size_t len)
{
	size_t opened = 0;
	for (size_t i = 0; i < count && !is_told_to_stop; i++) {
		int fd = connect_to(peer);
		if (fd < 0)
			continue;
		send_all(fd, data, len);
		held[opened++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	return opened;
}

/* Reads what came on one; true when the peer has ended it. */
static bool is_over(int fd)
{
	char data[4096];
	ssize_t n;
	while ((n = recv(fd, data, sizeof data, MSG_DONTWAIT)) > 0)
		continue;
	return n == 0 || errno != EAGAIN;
}

static size_t hold_all(struct pollfd *held, size_t count, double seconds)
{
	uint64_t deadline = now_us() + (uint64_t)(seconds * 1e6);
	size_t closed = 0;
	while (!is_told_to_stop && now_us() < deadline) {
		if (poll(held, count, 100) <= 0)
			continue;
		for (size_t i = 0; i < count; i++) {
			if (held[i].fd < 0 || held[i].revents == 0 || !is_over(held[i].fd))
				continue;
			close(held[i].fd);
			held[i].fd = -1;
			closed++;
		}
	}
	return closed;
}

static const struct option options[] = {
	{"count", required_argument, NULL, 'n'},
	{"file", required_argument, NULL, 'f'},
	{"first", required_argument, NULL, 'b'},
	{"hold", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

int main(int argc, char **argv)
{
	size_t count = 100, len = 0, first = SIZE_MAX;
	uint8_t *data = NULL;
	double seconds = 10;
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case 'n':
			count = (size_t)number(optarg, 1, 9500);
			break;
		case 'f':
			data = read_file(optarg, &len);
			break;
		case 'b':
			first = (size_t)number(optarg, 0, LONG_MAX);
			break;
		case 's':
			seconds = (double)number(optarg, 0, 600);
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind + 1 != argc)
		show_help(help, '?');
	struct endpoint peer = parse_endpoint(argv[optind]);
	struct pollfd *held = calloc(count, sizeof *held);
	if (!held)
		die("out of memory");
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
	need_descriptors(count + 64);

	size_t opened = open_all(held, count, &peer, data, len < first ? len : first);
	printf("holding %zu failed %zu\n", opened, count - opened);
	fflush(stdout);
	printf("closed %zu\n", hold_all(held, opened, seconds));
	free(held);
	free(data);
	return opened == count ? 0 : 1;
}
