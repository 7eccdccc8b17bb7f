/* A bounded number of TLS connections: each sends a request and reads the answer to its end. */
#include "tool.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#define REASONS_MAX 32

static const char help[] =
	"usage: tlsload [options] ADDRESS\n"
	"  --count N         connections, 1 to 100000 (default 100)\n"
	"  --concurrency C   at a time, 1 to 256 (default 4)\n"
	"  --sni NAME        the server name\n"
	"  --alpn ID         the one protocol to offer; it must be chosen\n"
	"  --ca FILE         verify the server against these; also that it is --sni\n"
	"  --cert FILE --key FILE\n"
	"  --min V --max V   TLS1.2 TLS1.3\n"
	"  --resume          each thread offers the session it got last\n"
	"  --request TEXT    (default \"GET / HTTP/1.0\", an empty line)\n"
	"  --half-close      send close_notify behind the request\n"
	"  --expect TEXT     the answer must contain it (within its first 4 KiB)\n"
	"  --timeout S       for each read or write (default 10)\n"
	"Prints \"ok N failed N resumed N bytes N ms N\", then a line \"reason COUNT TEXT\" for each way\n"
	"in which connections failed. Exit status 0 if none did.\n";

struct reason {
	char text[200];
	unsigned long count;
};

static struct load {
	struct endpoint peer;
	SSL_CTX *context;
	const char *sni, *alpn, *ca, *cert, *key, *request, *expect;
	int min, max;
	long count, concurrency, timeout;
	bool resume, half_close;
	pthread_mutex_t lock; /* over what follows */
	long begun;
	unsigned long ok, failed, resumed;
	unsigned long long bytes;
	struct reason reasons[REASONS_MAX];
} load = {
	.request = "GET / HTTP/1.0\r\n\r\n",
	.count = 100,
	.concurrency = 4,
	.timeout = 10,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* One connection; `session` is what its thread resumes from. */
struct attempt {
	SSL *ssl;
	SSL_SESSION **session;
	unsigned long long bytes;
	char reason[200];
};

static bool fail(struct attempt *attempt, const char *what, int result)
{
	int error = attempt->ssl && result <= 0 ? SSL_get_error(attempt->ssl, result) : 0;
	unsigned long queued = ERR_peek_error();
	const char *why = queued                 ? ERR_reason_error_string(queued)
		: error == SSL_ERROR_ZERO_RETURN ? "closed"
		: error == SSL_ERROR_WANT_READ   ? "timed out"
		: errno                          ? strerror(errno)
						 : "end of file";
	snprintf(attempt->reason, sizeof attempt->reason, "%s: %s", what, why ? why : "unknown");
	return false;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION **kept = SSL_get_app_data(ssl);
	if (!kept)
		return 0;
	SSL_SESSION_free(*kept);
	*kept = session;
	return 1;
}

static bool set_up(struct attempt *attempt, int fd)
{
	unsigned char alpn[256];
	struct timeval patience = {.tv_sec = load.timeout};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	attempt->ssl = SSL_new(load.context);
	if (!attempt->ssl)
		return fail(attempt, "SSL_new", 1);
	SSL_set_fd(attempt->ssl, fd);
	if (load.sni)
		SSL_set_tlsext_host_name(attempt->ssl, load.sni);
	if (load.sni && load.ca)
		SSL_set1_host(attempt->ssl, load.sni);
	if (load.alpn) {
		alpn[0] =
			(unsigned char)snprintf((char *)alpn + 1, sizeof alpn - 1, "%s", load.alpn);
		SSL_set_alpn_protos(attempt->ssl, alpn, alpn[0] + 1u);
	}
	if (!load.resume)
		return true;
	SSL_set_app_data(attempt->ssl, attempt->session);
	if (*attempt->session)
		SSL_set_session(attempt->ssl, *attempt->session);
	return true;
}

static bool is_alpn_chosen(SSL *ssl)
{
	const unsigned char *chosen;
	unsigned len;
	SSL_get0_alpn_selected(ssl, &chosen, &len);
	return !load.alpn || (len == strlen(load.alpn) && memcmp(chosen, load.alpn, len) == 0);
}

static bool read_answer(struct attempt *attempt)
{
	char head[4096 + 1], data[16384];
	size_t head_len = 0;
	int n;
	while ((n = SSL_read(attempt->ssl, data, sizeof data)) > 0) {
		size_t room = sizeof head - 1 - head_len;
		size_t more = (size_t)n < room ? (size_t)n : room;
		memcpy(head + head_len, data, more);
		head_len += more;
		attempt->bytes += (unsigned)n;
	}
	head[head_len] = '\0';
	if (SSL_get_error(attempt->ssl, n) != SSL_ERROR_ZERO_RETURN)
		return fail(attempt, "read", n);
	if (!load.expect || strstr(head, load.expect))
		return true;
	snprintf(attempt->reason, sizeof attempt->reason, "unexpected answer: %.60s", head);
	return false;
}

static bool converse(struct attempt *attempt, int fd)
{
	ERR_clear_error();
	errno = 0;
	if (!set_up(attempt, fd))
		return false;
	int result = SSL_connect(attempt->ssl);
	if (result != 1)
		return fail(attempt, "handshake", result);
	if (!is_alpn_chosen(attempt->ssl)) {
		snprintf(attempt->reason, sizeof attempt->reason, "another ALPN was chosen");
		return false;
	}
	result = SSL_write(attempt->ssl, load.request, (int)strlen(load.request));
	if (result <= 0)
		return fail(attempt, "write", result);
	if (load.half_close)
		SSL_shutdown(attempt->ssl);
	return read_answer(attempt);
}

static void count_reason(const char *text)
{
	for (size_t i = 0; i < REASONS_MAX; i++) {
		struct reason *reason = &load.reasons[i];
		if (reason->count > 0 && strcmp(reason->text, text) != 0)
			continue;
		snprintf(reason->text, sizeof reason->text, "%s", text);
		reason->count++;
		return;
	}
}

static void run_one(SSL_SESSION **session)
{
	struct attempt attempt = {.session = session};
	int fd = connect_to(&load.peer);
	bool is_ok = fd >= 0 ? converse(&attempt, fd) : fail(&attempt, "connect", 1);
	bool is_resumed = is_ok && SSL_session_reused(attempt.ssl);
	if (attempt.ssl && is_ok)
		SSL_shutdown(attempt.ssl); /* and so the session may be resumed */
	SSL_free(attempt.ssl);
	if (fd >= 0)
		close(fd);
	pthread_mutex_lock(&load.lock);
	load.ok += is_ok;
	load.failed += !is_ok;
	load.resumed += is_resumed;
	load.bytes += attempt.bytes;
	if (!is_ok)
		count_reason(attempt.reason);
	pthread_mutex_unlock(&load.lock);
}

static bool take_turn(void)
{
	pthread_mutex_lock(&load.lock);
	bool has_turn = load.begun < load.count;
	load.begun += has_turn;
	pthread_mutex_unlock(&load.lock);
	return has_turn;
}

static void *run_thread(void *unused)
{
	SSL_SESSION *session = NULL;
	while (take_turn())
		run_one(&session);
	SSL_SESSION_free(session);
	return unused;
}

static void run_all(void)
{
	pthread_t threads[256];
	long started = 0;
	while (started < load.concurrency && started < load.count)
		if (pthread_create(&threads[started++], NULL, run_thread, NULL) != 0)
			die("cannot start a thread");
	for (long i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

static void make_context(void)
{
	load.context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(load.context, load.min);
	SSL_CTX_set_max_proto_version(load.context, load.max);
	SSL_CTX_set_session_cache_mode(
		load.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(load.context, keep_session);
	if (load.ca) {
		SSL_CTX_set_verify(load.context, SSL_VERIFY_PEER, NULL);
		if (!SSL_CTX_load_verify_file(load.context, load.ca))
			die("%s: cannot be read", load.ca);
	}
	if (!load.cert)
		return;
	if (!SSL_CTX_use_certificate_chain_file(load.context, load.cert) ||
		!SSL_CTX_use_PrivateKey_file(
			load.context, load.key ? load.key : load.cert, SSL_FILETYPE_PEM))
		die("%s: cannot be used", load.cert);
}

static int version(const char *text)
{
	if (strcmp(text, "TLS1.2") == 0)
		return TLS1_2_VERSION;
	if (strcmp(text, "TLS1.3") == 0)
		return TLS1_3_VERSION;
	die("expected TLS1.2 or TLS1.3, got \"%s\"", text);
}

enum {
	COUNT = 256,
	CONCURRENCY,
	SNI,
	ALPN,
	CA,
	CERT,
	KEY,
	MIN,
	MAX,
	RESUME,
	REQUEST,
	HALF_CLOSE,
	EXPECT,
	TIMEOUT
};

static const struct option options[] = {
	{"count", required_argument, NULL, COUNT},
	{"concurrency", required_argument, NULL, CONCURRENCY},
	{"sni", required_argument, NULL, SNI},
	{"alpn", required_argument, NULL, ALPN},
	{"ca", required_argument, NULL, CA},
	{"cert", required_argument, NULL, CERT},
	{"key", required_argument, NULL, KEY},
	{"min", required_argument, NULL, MIN},
	{"max", required_argument, NULL, MAX},
	{"resume", no_argument, NULL, RESUME},
	{"request", required_argument, NULL, REQUEST},
	{"half-close", no_argument, NULL, HALF_CLOSE},
	{"expect", required_argument, NULL, EXPECT},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void parse(int argc, char **argv)
{
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case COUNT:
			load.count = number(optarg, 1, 100000);
			break;
		case CONCURRENCY:
			load.concurrency = number(optarg, 1, 256);
			break;
		case SNI:
			load.sni = optarg;
			break;
		case ALPN:
			load.alpn = optarg;
			break;
		case CA:
			load.ca = optarg;
			break;
		case CERT:
			load.cert = optarg;
			break;
		case KEY:
			load.key = optarg;
			break;
		case MIN:
			load.min = version(optarg);
			break;
		case MAX:
			load.max = version(optarg);
			break;
		case RESUME:
			load.resume = true;
			break;
		case REQUEST:
			load.request = optarg;
			break;
		case HALF_CLOSE:
			load.half_close = true;
			break;
		case EXPECT:
			load.expect = optarg;
			break;
		case TIMEOUT:
			load.timeout = number(optarg, 1, 600);
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind + 1 != argc)
		show_help(help, '?');
	load.peer = parse_endpoint(argv[optind]);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	make_context();
	uint64_t begun = now_us();
	run_all();
	printf("ok %lu failed %lu resumed %lu bytes %llu ms %llu\n", load.ok, load.failed,
		load.resumed, load.bytes, (unsigned long long)(now_us() - begun) / 1000);
	for (size_t i = 0; i < REASONS_MAX && load.reasons[i].count > 0; i++)
		printf("reason %lu %s\n", load.reasons[i].count, load.reasons[i].text);
	SSL_CTX_free(load.context);
	return load.failed == 0 ? 0 : 1;
}
