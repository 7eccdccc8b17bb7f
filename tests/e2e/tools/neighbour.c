/*
 * A well-behaved client beside others: it sends a few bytes again and again to a server that echoes them, and
 * measures how much CPU time the daemon's worker thread uses until they are back. Unlike the time on the clock
 * that does not depend on what else the machine does.
 */
#include "tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/ssl.h>

#define ECHO_BYTES 16

static const char help[] =
	"usage: neighbour [options] ADDRESS\n"
	"  --pid PID         the daemon, whose one worker is the thread \"worker-0\"\n"
	"  --tls             TLS; without it the ClientHello of --sni goes through to the server\n"
	"  --sni NAME        the server name (default localhost)\n"
	"  --every MS        from one echo to the next (default 5)\n"
	"  --seconds S       then it ends, or on SIGTERM (default 10)\n"
	"Prints \"ready\" after the first echo, and at the end \"echoes N cpu_us N wall_us N\": how many, and the\n"
	"largest of each time. Exit status 1 if an echo was wrong or missing.\n";

static struct neighbour {
	struct endpoint peer;
	const char *sni;
	bool is_tls;
	long pid, every_ms, seconds;
	int fd, schedstat;
	SSL *ssl;
	unsigned long echoes;
	uint64_t cpu_us, wall_us;
} me = {.sni = "localhost", .every_ms = 5, .seconds = 10};

/* It is blocked: an echo that is under way comes to its end. */
static bool is_told_to_stop(void)
{
	sigset_t pending;
	return sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1;
}

static void block_term(void)
{
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
}

static bool is_worker(const char *tid)
{
	char path[300], name[16] = "";
	snprintf(path, sizeof path, "/proc/%ld/task/%s/comm", me.pid, tid);
	FILE *file = fopen(path, "r");
	bool is_read = file && fgets(name, sizeof name, file);
	if (file)
		fclose(file);
	return is_read && strncmp(name, "worker-0\n", sizeof name) == 0;
}

static void open_schedstat(void)
{
	char path[300];
	snprintf(path, sizeof path, "/proc/%ld/task", me.pid);
	DIR *tasks = opendir(path);
	struct dirent *task = NULL;
	while (tasks && (task = readdir(tasks)) && !is_worker(task->d_name))
		continue;
	if (!task)
		die("%ld: no thread worker-0", me.pid);
	snprintf(path, sizeof path, "/proc/%ld/task/%s/schedstat", me.pid, task->d_name);
	closedir(tasks);
	me.schedstat = open(path, O_RDONLY | O_CLOEXEC);
	if (me.schedstat < 0)
		die("%s: %s", path, strerror(errno));
}

/* While the worker runs the kernel brings this up to date with each tick. */
static uint64_t worker_cpu_us(void)
{
	char text[128];
	ssize_t n = pread(me.schedstat, text, sizeof text - 1, 0);
	if (n <= 0)
		die("the worker is gone");
	text[n] = '\0';
	return strtoull(text, NULL, 10) / 1000;
}

static bool send_bytes(const void *data, size_t len)
{
	return me.is_tls ? SSL_write(me.ssl, data, (int)len) == (int)len
			 : send_all(me.fd, data, len);
}

static bool receive_bytes(char *data, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = me.is_tls ? SSL_read(me.ssl, data + got, (int)(len - got))
				      : recv(me.fd, data + got, len - got, 0);
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static bool echo(const char *data, size_t len)
{
	char back[2048];
	return send_bytes(data, len) && receive_bytes(back, len) && memcmp(data, back, len) == 0;
}

static void greater(uint64_t *most, uint64_t value)
{
	*most = value > *most ? value : *most;
}

static bool timed_echo(void)
{
	char data[ECHO_BYTES + 1];
	snprintf(data, sizeof data, "%0*lu", ECHO_BYTES, me.echoes);
	uint64_t cpu = worker_cpu_us(), wall = now_us();
	if (!echo(data, ECHO_BYTES))
		return false;
	greater(&me.wall_us, now_us() - wall);
	greater(&me.cpu_us, worker_cpu_us() - cpu);
	me.echoes++;
	return true;
}

/* Through the gate the server gets our hello too, and echoes it. */
static bool pass_hello(void)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char *data;
	SSL_set_bio(me.ssl, in, out);
	SSL_do_handshake(me.ssl);
	long len = BIO_get_mem_data(out, &data);
	return echo(data, (size_t)len);
}

static void begin(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct timeval patience = {.tv_sec = 30};
	me.fd = connect_to(&me.peer);
	if (me.fd < 0)
		die("connect: %s", strerror(errno));
	setsockopt(me.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	me.ssl = SSL_new(context);
	SSL_set_tlsext_host_name(me.ssl, me.sni);
	SSL_set_connect_state(me.ssl);
	if (me.is_tls)
		SSL_set_fd(me.ssl, me.fd);
	if (me.is_tls ? SSL_do_handshake(me.ssl) != 1 : !pass_hello())
		die("no connection to %s", me.sni);
}

static const struct option options[] = {
	{"pid", required_argument, NULL, 'p'},
	{"tls", no_argument, NULL, 't'},
	{"sni", required_argument, NULL, 'n'},
	{"every", required_argument, NULL, 'e'},
	{"seconds", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void parse(int argc, char **argv)
{
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case 'p':
			me.pid = number(optarg, 1, INT_MAX);
			break;
		case 't':
			me.is_tls = true;
			break;
		case 'n':
			me.sni = optarg;
			break;
		case 'e':
			me.every_ms = number(optarg, 0, 10000);
			break;
		case 's':
			me.seconds = number(optarg, 1, 600);
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind + 1 != argc || me.pid == 0)
		show_help(help, '?');
	me.peer = parse_endpoint(argv[optind]);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	block_term();
	open_schedstat();
	begin();
	uint64_t deadline = now_us() + (uint64_t)me.seconds * 1000000;
	bool is_ok = timed_echo();
	me.cpu_us = me.wall_us = 0; /* of the connection's beginning */
	puts("ready");
	fflush(stdout);
	while (is_ok && !is_told_to_stop() && now_us() < deadline) {
		sleep_us(me.every_ms * 1000);
		is_ok = timed_echo();
	}
	printf("echoes %lu cpu_us %llu wall_us %llu\n", me.echoes, (unsigned long long)me.cpu_us,
		(unsigned long long)me.wall_us);
	if (!is_ok)
		die("an echo is wrong or missing");
	return 0;
}
