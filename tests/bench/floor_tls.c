/*
 * The floor where TLS is terminated: a proxy with OpenSSL's server and the system calls that cannot be
 * avoided, and nothing else: one certificate, one backend, no routing, no timeouts, no limits, no log,
 * no error paths. It takes little from clients, and much for them: many records leave with one send.
 *
 * usage: floor_tls PORT BACKEND_PORT CERT KEY [CA]
 *   accept4, recv, send of the flight; recv, send of the ticket, socket, connect, send; and so on
 */
#include "sockets.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256
#define PLAIN_SIZE     (256 * 1024)
#define SEALED_SIZE    (320 * 1024) /* PLAIN_SIZE in records */

struct end {
	struct pair *pair;
	int fd;
};

struct pair {
	struct end client, upstream;
	SSL *ssl;
	BIO *in;
	char *unsent; /* what the client did not take; NULL: nothing */
	size_t unsent_start, unsent_size;
	bool is_secured, is_ending, is_dead;
	struct pair *next_dead;
};

static int epoll;
static SSL_CTX *context;
static struct sockaddr_in backend;
static struct pair *dead;
static char received[PLAIN_SIZE], plain[PLAIN_SIZE], sealed[SEALED_SIZE];
static size_t gathered; /* of `sealed`, within one event */

/* Events of the same batch may still name the pair: memory goes after the batch. */
static void pair_close(struct pair *pair)
{
	if (pair->is_dead)
		return;
	pair->is_dead = true;
	close(pair->client.fd);
	if (pair->upstream.fd >= 0)
		close(pair->upstream.fd);
	SSL_free(pair->ssl);
	free(pair->unsent);
	pair->next_dead = dead;
	dead = pair;
}

static void free_dead(void)
{
	while (dead) {
		struct pair *next = dead->next_dead;
		free(dead);
		dead = next;
	}
}

static void watch(struct end *end)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, end->fd, &event) < 0)
		pair_close(end->pair);
}

static int gather(BIO *bio, const char *data, size_t size, size_t *taken)
{
	(void)bio;
	if (size > sizeof(sealed) - gathered)
		die("more than the buffer holds");
	memcpy(sealed + gathered, data, size);
	gathered += size;
	*taken = size;
	return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO *gathering(void)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "gathering");
		BIO_meth_set_write_ex(method, gather);
		BIO_meth_set_ctrl(method, control);
	}
	if (!(bio = BIO_new(method)))
		die("OpenSSL");
	BIO_set_init(bio, 1);
	return bio;
}

static void send_sealed(struct pair *pair, int flags)
{
	size_t size = gathered;
	ssize_t n = size > 0 ? send(pair->client.fd, sealed, size, MSG_NOSIGNAL | flags) : 0;

	gathered = 0;
	if (n < 0 && errno != EAGAIN) {
		pair_close(pair);
		return;
	}
	n = n < 0 ? 0 : n;
	if ((size_t)n == size)
		return;
	pair->unsent_start = 0;
	pair->unsent_size = size - (size_t)n;
	if (!(pair->unsent = malloc(pair->unsent_size)))
		die("malloc");
	memcpy(pair->unsent, sealed + n, pair->unsent_size);
}

/* True when nothing is left. */
static bool send_unsent(struct pair *pair)
{
	ssize_t n = send(pair->client.fd, pair->unsent + pair->unsent_start,
		pair->unsent_size - pair->unsent_start, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		pair_close(pair);
	if (n > 0)
		pair->unsent_start += (size_t)n;
	if (pair->is_dead || pair->unsent_start < pair->unsent_size)
		return false;
	free(pair->unsent);
	pair->unsent = NULL;
	return true;
}

static void handshake(struct pair *pair)
{
	int result = SSL_do_handshake(pair->ssl);

	pair->is_secured = result == 1;
	if (result != 1 && SSL_get_error(pair->ssl, result) != SSL_ERROR_WANT_READ)
		pair_close(pair);
	else
		send_sealed(pair, 0);
}

/* On loopback the connection stands at once. */
static void connect_upstream(struct pair *pair)
{
	pair->upstream.fd = connect_to(&backend);
	if (pair->upstream.fd < 0)
		pair_close(pair);
}

static void send_upstream(struct pair *pair, size_t n)
{
	if (send(pair->upstream.fd, plain, n, MSG_NOSIGNAL) != (ssize_t)n)
		pair_close(pair);
}

static void from_client(struct pair *pair)
{
	ssize_t size = recv(pair->client.fd, received, sizeof(received), 0);
	size_t n;

	if (size < 0 && errno == EAGAIN)
		return;
	if (size <= 0) {
		pair_close(pair);
		return;
	}
	BIO_write(pair->in, received, (int)size);
	if (!pair->is_secured)
		handshake(pair);
	if (pair->is_dead || !pair->is_secured)
		return;
	bool is_new = pair->upstream.fd < 0;
	if (is_new) /* whether or not the client has spoken: there are servers that speak first */
		connect_upstream(pair);
	while (!pair->is_dead && SSL_read_ex(pair->ssl, plain, sizeof(plain), &n))
		send_upstream(pair, n);
	if (!pair->is_dead && is_new)
		watch(&pair->upstream);
	if (!pair->is_dead && (SSL_get_shutdown(pair->ssl) & SSL_RECEIVED_SHUTDOWN))
		shutdown(pair->upstream.fd, SHUT_WR);
}

static void end_client(struct pair *pair)
{
	SSL_shutdown(pair->ssl);
	send_sealed(pair, MSG_MORE); /* the FIN goes in the same segment */
	pair_close(pair);
}

/* A short read empties the socket, unless a FIN has been announced: then it is read up to that. */
static void from_upstream(struct pair *pair)
{
	size_t written;
	ssize_t n = sizeof(plain);

	while (!pair->is_dead && !pair->unsent && (n == sizeof(plain) || pair->is_ending)) {
		n = recv(pair->upstream.fd, plain, sizeof(plain), 0);
		if (n == 0)
			end_client(pair);
		if (n <= 0)
			return;
		SSL_write_ex(pair->ssl, plain, (size_t)n, &written);
		send_sealed(pair, 0);
	}
}

static void on_event(struct end *end, uint32_t events)
{
	struct pair *pair = end->pair;
	bool readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR);

	if (pair->is_dead)
		return;
	if (end == &pair->upstream) {
		pair->is_ending |= (events & EPOLLRDHUP) != 0;
		if (readable)
			from_upstream(pair);
		return;
	}
	if (readable)
		from_client(pair);
	if (!pair->is_dead && pair->unsent && (events & EPOLLOUT) && send_unsent(pair))
		from_upstream(pair);
}

static void open_pair(int fd)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	if (!pair)
		die("calloc");
	pair->ssl = SSL_new(context);
	pair->in = BIO_new(BIO_s_mem());
	if (!pair->ssl || !pair->in)
		die("OpenSSL");
	BIO_set_mem_eof_return(pair->in, -1);
	SSL_set_bio(pair->ssl, pair->in, gathering());
	SSL_set_accept_state(pair->ssl);
	pair->client = (struct end){.pair = pair, .fd = fd};
	pair->upstream = (struct end){.pair = pair, .fd = -1};
	watch(&pair->client);
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		open_pair(fd);
}

static void make_context(const char *certificate, const char *key, const char *ca)
{
	context = SSL_CTX_new(TLS_server_method());
	if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
		!SSL_CTX_set1_groups_list(context, "X25519:P-256"))
		die("cannot set up the server");
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, ca ? 0 : 1);
	SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
	if (!ca)
		return;
	if (SSL_CTX_load_verify_file(context, ca) != 1)
		die("cannot read the CA");
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_AT_ONCE];

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: floor_tls PORT BACKEND_PORT CERT KEY [CA]\n");
		return 2;
	}
	raise_descriptor_limit();
	backend = loopback(port_from(argv[2]));
	make_context(argv[3], argv[4], argv[5]);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = listen_on(port_from(argv[1]));
	set_nodelay(listener); /* those that it accepts inherit it */
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll_ctl");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else
				accept_all(listener);
		}
		free_dead();
	}
}
