/* One end of one connection, plain or TLS, client or server, that does what it is told in order. */
#include "tool.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#define BLOCK 65536

static const char help[] =
	"usage: talk [options] ADDRESS WORD...\n"
	"  --listen           be the server of one connection (says \"listening\" when it is)\n"
	"  --tls              speak TLS; a server needs --cert FILE and --key FILE\n"
	"  --sni NAME         --max TLS1.2|TLS1.3\n"
	"  --hello FILE       a plain client: send FILE first, uncounted\n"
	"  --skip N           the first N bytes that come are not counted\n"
	"  --seed N           of the bytes that are sent (default 1)\n"
	"  --write-chunk N    bytes at a time (default 65536), and --write-delay US between them\n"
	"  --read-chunk N     bytes at a time (default 65536), and --read-delay US between them\n"
	"  --rcvbuf N         --sndbuf N  the socket's buffers\n"
	"  --timeout S        without any progress (default 10)\n"
	"Words: send=N  recv=N  exchange=N (both at once)  sleep=MS  close_notify  fin  reset\n"
	"keyupdate=N (asks the peer for N key updates)  wait (reads until the peer ends)\n"
	"garbage=N (bytes that are no TLS, uncounted)  renegotiate (asks for it, TLS 1.2)\n"
	"file=PATH (waits until it is there)  say=TEXT (on standard output)\n"
	"Prints \"sent N SHA256\", \"received N SHA256\" and how the peer ended, if it did so: \"saw \"\n"
	"and one or more of close_notify, fin, reset, truncation, timeout, alert TEXT. Exit status 0\n"
	"unless it could not begin.\n";

enum outcome { PROGRESS, AGAIN, OVER };

static struct talk {
	int fd;
	SSL_CTX *context;
	SSL *ssl;
	const char *cert, *key, *sni, *hello;
	char saw[200];
	bool listen, tls, read_over, write_over;
	int max;
	size_t skip, write_chunk, read_chunk;
	long write_delay, read_delay, rcvbuf, sndbuf, timeout;
	uint64_t seed, sent, received;
	size_t unsent; /* of the block, from its start */
	uint8_t block[BLOCK];
	EVP_MD_CTX *sent_digest, *received_digest;
} talk = {
	.write_chunk = BLOCK,
	.read_chunk = BLOCK,
	.timeout = 10,
	.seed = 1,
	.fd = -1,
};

/* In order; the same thing twice in a row is one. */
static void see(const char *what)
{
	const char *last = strrchr(talk.saw, ',');
	size_t used = strlen(talk.saw);
	if (strcmp(last ? last + 2 : talk.saw, what) == 0)
		return;
	snprintf(talk.saw + used, sizeof talk.saw - used, "%s%s", used ? ", " : "", what);
}

static enum outcome over(const char *what)
{
	see(what);
	return OVER;
}

static enum outcome judge_tls(int result)
{
	char text[160];
	int error = SSL_get_error(talk.ssl, result);
	unsigned long queued = ERR_peek_last_error();
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return AGAIN;
	if (error == SSL_ERROR_ZERO_RETURN)
		return over("close_notify");
	if (queued && ERR_GET_REASON(queued) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		snprintf(text, sizeof text, "alert %s", ERR_reason_error_string(queued));
		return over(text);
	}
	return over(queued || errno == 0 ? "truncation" : "reset");
}

static enum outcome read_some(uint8_t *data, size_t size, size_t *got)
{
	*got = 0;
	errno = 0;
	if (talk.ssl) {
		ERR_clear_error();
		int result = SSL_read_ex(talk.ssl, data, size, got);
		return result == 1 ? PROGRESS : judge_tls(result);
	}
	ssize_t n = recv(talk.fd, data, size, 0);
	if (n > 0)
		*got = (size_t)n;
	if (n == 0)
		return over("fin");
	if (n < 0)
		return errno == EAGAIN ? AGAIN : over("reset");
	return PROGRESS;
}

static enum outcome write_some(const uint8_t *data, size_t len, size_t *put)
{
	*put = 0;
	errno = 0;
	if (talk.ssl) {
		ERR_clear_error();
		int result = SSL_write_ex(talk.ssl, data, len, put);
		return result == 1 ? PROGRESS : judge_tls(result);
	}
	ssize_t n = send(talk.fd, data, len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? AGAIN : over("reset");
	*put = (size_t)n;
	return PROGRESS;
}

/* Bytes that nobody could confuse: xorshift64. */
static void fill_block(void)
{
	for (size_t i = 0; i < BLOCK; i += 8) {
		talk.seed ^= talk.seed << 13;
		talk.seed ^= talk.seed >> 7;
		talk.seed ^= talk.seed << 17;
		memcpy(talk.block + i, &talk.seed, 8);
	}
	talk.unsent = BLOCK;
}

static enum outcome send_part(uint64_t left)
{
	size_t put;
	if (talk.unsent == 0)
		fill_block();
	const uint8_t *data = talk.block + BLOCK - talk.unsent;
	size_t len = talk.unsent < talk.write_chunk ? talk.unsent : talk.write_chunk;
	enum outcome outcome = write_some(data, len < left ? len : (size_t)left, &put);
	EVP_DigestUpdate(talk.sent_digest, data, put);
	talk.unsent -= put;
	talk.sent += put;
	return outcome;
}

static enum outcome receive_part(uint64_t left)
{
	uint8_t data[BLOCK];
	size_t got, size = left < talk.read_chunk ? (size_t)left : talk.read_chunk;
	enum outcome outcome = read_some(data, size < sizeof data ? size : sizeof data, &got);
	size_t skipped = got < talk.skip ? got : talk.skip;
	talk.skip -= skipped;
	EVP_DigestUpdate(talk.received_digest, data + skipped, got - skipped);
	talk.received += got - skipped;
	return outcome;
}

static void wait_ready(bool to_write, bool to_read, uint64_t until)
{
	uint64_t now = now_us();
	struct pollfd ready = {.fd = talk.fd,
		.events = (short)((to_write ? POLLOUT : 0) | (to_read ? POLLIN : 0))};
	uint64_t left = until > now ? until - now : 0;
	struct timespec wait = {(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
	ppoll(&ready, ready.events ? 1 : 0, &wait, NULL);
}

/* Until so much is sent and so much has come in all, or the peer ends. */
static void transfer(uint64_t sent, uint64_t received)
{
	uint64_t write_at = 0, read_at = 0, moved_at = now_us();
	for (;;) {
		uint64_t now = now_us();
		uint64_t until = moved_at + (uint64_t)talk.timeout * 1000000;
		bool writing = !talk.write_over && talk.sent < sent;
		bool reading = !talk.read_over && talk.received < received;
		enum outcome wrote = AGAIN, got = AGAIN;
		if (!writing && !reading)
			return;
		if (now >= until) {
			see("timeout");
			return;
		}
		if (writing && now >= write_at)
			wrote = send_part(sent - talk.sent);
		if (reading && now >= read_at)
			got = receive_part(received - talk.received + talk.skip);
		talk.write_over |= wrote == OVER;
		talk.read_over |= got == OVER;
		if (wrote == PROGRESS)
			write_at = now + (uint64_t)talk.write_delay;
		if (got == PROGRESS)
			read_at = now + (uint64_t)talk.read_delay;
		if (wrote != AGAIN || got != AGAIN) {
			moved_at = now;
			continue;
		}
		until = writing && write_at > now && write_at < until ? write_at : until;
		until = reading && read_at > now && read_at < until ? read_at : until;
		wait_ready(writing && write_at <= now, reading && read_at <= now, until);
	}
}

static void need_tls(const char *word)
{
	if (!talk.ssl)
		die("%s: only with --tls", word);
}

static void reset_now(void)
{
	reset_on_close(talk.fd);
	close(talk.fd);
	talk.fd = -1;
}

static void wait_for_file(const char *path)
{
	uint64_t give_up = now_us() + (uint64_t)talk.timeout * 1000000;
	while (access(path, F_OK) < 0 && now_us() < give_up)
		sleep_us(5000);
}

static void update_keys(long count)
{
	for (long i = 0; i < count && !talk.write_over; i++) {
		enum outcome outcome = AGAIN;
		SSL_key_update(talk.ssl, SSL_KEY_UPDATE_REQUESTED);
		while (outcome == AGAIN) {
			errno = 0;
			ERR_clear_error();
			int result = SSL_do_handshake(talk.ssl);
			outcome = result == 1 ? PROGRESS : judge_tls(result);
			if (outcome == AGAIN)
				wait_ready(true, false, now_us() + 1000000);
		}
		talk.write_over = outcome == OVER;
	}
}

static void send_garbage(size_t len)
{
	uint8_t data[BLOCK];
	memset(data, 'x', sizeof data);
	send_all(talk.fd, data, len);
}

static void obey(const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : strlen(word);
	value = value ? value + 1 : "";
	if (strncmp(word, "send", len) == 0 && len == 4) {
		transfer(talk.sent + (uint64_t)number(value, 0, LONG_MAX), 0);
	} else if (strncmp(word, "recv", len) == 0 && len == 4) {
		transfer(0, talk.received + (uint64_t)number(value, 0, LONG_MAX));
	} else if (strncmp(word, "exchange", len) == 0 && len == 8) {
		uint64_t more = (uint64_t)number(value, 0, LONG_MAX);
		transfer(talk.sent + more, talk.received + more);
	} else if (strncmp(word, "sleep", len) == 0 && len == 5) {
		sleep_us(number(value, 0, 600000) * 1000);
	} else if (strncmp(word, "keyupdate", len) == 0 && len == 9) {
		need_tls(word);
		update_keys(number(value, 1, 10000000));
	} else if (strncmp(word, "garbage", len) == 0 && len == 7) {
		send_garbage((size_t)number(value, 1, BLOCK));
	} else if (strncmp(word, "file", len) == 0 && len == 4) {
		wait_for_file(value);
	} else if (strncmp(word, "say", len) == 0 && len == 3) {
		puts(value);
		fflush(stdout);
	} else if (strcmp(word, "renegotiate") == 0) {
		need_tls(word);
		SSL_renegotiate(talk.ssl);
		SSL_do_handshake(talk.ssl);
	} else if (strcmp(word, "close_notify") == 0) {
		need_tls(word);
		SSL_shutdown(talk.ssl);
	} else if (strcmp(word, "fin") == 0) {
		shutdown(talk.fd, SHUT_WR);
	} else if (strcmp(word, "reset") == 0) {
		reset_now();
	} else if (strcmp(word, "wait") == 0) {
		transfer(0, UINT64_MAX - talk.skip);
	} else {
		die("what is \"%s\"?", word);
	}
}

static int open_listener(const struct endpoint *here, const char *text)
{
	int fd = socket(here->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (talk.rcvbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){(int)talk.rcvbuf}, sizeof(int));
	if (bind(fd, &here->any, here->len) < 0 || listen(fd, 16) < 0)
		die("%s: %s", text, strerror(errno));
	puts("listening");
	fflush(stdout);
	return fd;
}

static int open_connection(const struct endpoint *peer, const char *text)
{
	int fd;
	if (talk.listen) {
		int listener = open_listener(peer, text);
		struct pollfd ready = {.fd = listener, .events = POLLIN};
		if (poll(&ready, 1, (int)talk.timeout * 1000) <= 0)
			die("%s: nobody came", text);
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		close(listener);
	} else if ((fd = socket(peer->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0) {
		if (talk.rcvbuf > 0)
			setsockopt(
				fd, SOL_SOCKET, SO_RCVBUF, &(int){(int)talk.rcvbuf}, sizeof(int));
		if (connect(fd, &peer->any, peer->len) < 0)
			die("%s: %s", text, strerror(errno));
	}
	if (fd < 0)
		die("%s: %s", text, strerror(errno));
	if (talk.sndbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){(int)talk.sndbuf}, sizeof(int));
	if (peer->any.sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return fd;
}

static void secure(void)
{
	talk.context = SSL_CTX_new(TLS_method());
	if (talk.max)
		SSL_CTX_set_max_proto_version(talk.context, talk.max);
	SSL_CTX_set_mode(
		talk.context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (talk.cert &&
		(!SSL_CTX_use_certificate_chain_file(talk.context, talk.cert) ||
			!SSL_CTX_use_PrivateKey_file(talk.context, talk.key, SSL_FILETYPE_PEM)))
		die("%s: cannot be used", talk.cert);
	talk.ssl = SSL_new(talk.context);
	SSL_set_fd(talk.ssl, talk.fd);
	if (talk.sni)
		SSL_set_tlsext_host_name(talk.ssl, talk.sni);
	errno = 0;
	int result = talk.listen ? SSL_accept(talk.ssl) : SSL_connect(talk.ssl);
	if (result != 1)
		judge_tls(result);
}

static void begin(const char *address)
{
	struct endpoint peer = parse_endpoint(address);
	struct timeval patience = {.tv_sec = talk.timeout};
	talk.fd = open_connection(&peer, address);
	setsockopt(talk.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (talk.tls)
		secure();
	if (talk.hello) {
		size_t len;
		uint8_t *data = read_file(talk.hello, &len);
		send_all(talk.fd, data, len);
		free(data);
	}
	fcntl(talk.fd, F_SETFL, fcntl(talk.fd, F_GETFL) | O_NONBLOCK);
}

static void report(const char *what, uint64_t count, EVP_MD_CTX *digest)
{
	uint8_t sum[32];
	EVP_DigestFinal_ex(digest, sum, NULL);
	printf("%s %llu ", what, (unsigned long long)count);
	for (size_t i = 0; i < sizeof sum; i++)
		printf("%02x", sum[i]);
	putchar('\n');
	EVP_MD_CTX_free(digest);
}

static EVP_MD_CTX *new_digest(void)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	return digest;
}

enum {
	LISTEN = 256,
	TLS,
	CERT,
	KEY,
	SNI,
	MAX,
	HELLO,
	SKIP,
	SEED,
	WRITE_CHUNK,
	WRITE_DELAY,
	READ_CHUNK,
	READ_DELAY,
	RCVBUF,
	SNDBUF,
	TIMEOUT
};

static const struct option options[] = {
	{"listen", no_argument, NULL, LISTEN},
	{"tls", no_argument, NULL, TLS},
	{"cert", required_argument, NULL, CERT},
	{"key", required_argument, NULL, KEY},
	{"sni", required_argument, NULL, SNI},
	{"max", required_argument, NULL, MAX},
	{"hello", required_argument, NULL, HELLO},
	{"skip", required_argument, NULL, SKIP},
	{"seed", required_argument, NULL, SEED},
	{"write-chunk", required_argument, NULL, WRITE_CHUNK},
	{"write-delay", required_argument, NULL, WRITE_DELAY},
	{"read-chunk", required_argument, NULL, READ_CHUNK},
	{"read-delay", required_argument, NULL, READ_DELAY},
	{"rcvbuf", required_argument, NULL, RCVBUF},
	{"sndbuf", required_argument, NULL, SNDBUF},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void parse(int argc, char **argv)
{
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case LISTEN:
			talk.listen = true;
			break;
		case TLS:
			talk.tls = true;
			break;
		case CERT:
			talk.cert = optarg;
			break;
		case KEY:
			talk.key = optarg;
			break;
		case SNI:
			talk.sni = optarg;
			break;
		case MAX:
			talk.max = strcmp(optarg, "TLS1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
			break;
		case HELLO:
			talk.hello = optarg;
			break;
		case SKIP:
			talk.skip = (size_t)number(optarg, 0, LONG_MAX);
			break;
		case SEED:
			talk.seed = (uint64_t)number(optarg, 1, LONG_MAX);
			break;
		case WRITE_CHUNK:
			talk.write_chunk = (size_t)number(optarg, 1, BLOCK);
			break;
		case WRITE_DELAY:
			talk.write_delay = number(optarg, 0, 10000000);
			break;
		case READ_CHUNK:
			talk.read_chunk = (size_t)number(optarg, 1, BLOCK);
			break;
		case READ_DELAY:
			talk.read_delay = number(optarg, 0, 10000000);
			break;
		case RCVBUF:
			talk.rcvbuf = number(optarg, 1, INT_MAX);
			break;
		case SNDBUF:
			talk.sndbuf = number(optarg, 1, INT_MAX);
			break;
		case TIMEOUT:
			talk.timeout = number(optarg, 1, 600);
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind >= argc)
		show_help(help, '?');
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	talk.sent_digest = new_digest();
	talk.received_digest = new_digest();
	begin(argv[optind]);
	for (int i = optind + 1; i < argc && talk.fd >= 0; i++)
		obey(argv[i]);
	report("sent", talk.sent, talk.sent_digest);
	report("received", talk.received, talk.received_digest);
	if (talk.saw[0])
		printf("saw %s\n", talk.saw);
	SSL_free(talk.ssl);
	SSL_CTX_free(talk.context);
	if (talk.fd >= 0)
		close(talk.fd);
	return 0;
}
