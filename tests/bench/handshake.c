/*
 * The floor of a handshake: OpenSSL's server in memory, with no socket and no proxy around it. It
 * sends one ticket, takes the client's question, answers a byte and says goodbye, as every
 * connection of the bench does. Only the server's processor time is counted.
 *
 * usage: handshake CERT KEY 1.2|1.3 full|resumed COUNT       prints microseconds for each
 */
#include "client_tls.h"
#include "command.h"
#include "sockets.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t counted_ns;

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static SSL_CTX *server_context(const char *certificate, const char *key)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
		!SSL_CTX_set1_groups_list(context, "X25519:P-256"))
		die("cannot set up the server");
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 1);
	return context;
}

static void join(SSL *client, SSL *server)
{
	BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());

	if (!up || !down)
		die("BIO_new");
	BIO_set_mem_eof_return(up, -1);
	BIO_set_mem_eof_return(down, -1);
	BIO_up_ref(up);
	BIO_up_ref(down);
	SSL_set_bio(client, down, up);
	SSL_set_bio(server, up, down);
}

/* The client's question follows its Finished; the server's answer its ticket. */
static void serve(SSL *server)
{
	unsigned char bytes[COMMAND_SIZE];
	size_t n;

	if (SSL_do_handshake(server) != 1)
		return;
	if (SSL_read_ex(server, bytes, sizeof(bytes), &n) && SSL_write_ex(server, bytes, 1, &n))
		SSL_shutdown(server);
}

static void timed_serve(SSL *server)
{
	uint64_t before = cpu_ns();

	serve(server);
	counted_ns += cpu_ns() - before;
}

static void talk(struct client_tls *tls, SSL *client, SSL *server)
{
	unsigned char bytes[COMMAND_SIZE] = {0};
	size_t n;

	while (SSL_do_handshake(client) != 1)
		timed_serve(server);
	const char *complaint = client_tls_complaint(tls, client);
	if (complaint || !SSL_write_ex(client, bytes, sizeof(bytes), &n))
		die(complaint ? complaint : "the question");
	timed_serve(server);
	if (!SSL_read_ex(client, bytes, sizeof(bytes), &n) || n != 1)
		die("no answer");
}

static void one(struct client_tls *tls, SSL_CTX *context)
{
	uint64_t before = cpu_ns();
	SSL *server = SSL_new(context);

	if (!server)
		die("SSL_new");
	SSL_set_accept_state(server);
	counted_ns += cpu_ns() - before;
	SSL *client = client_tls_open(tls, -1, 0);
	join(client, server);
	talk(tls, client, server);
	client_tls_close(client);
	before = cpu_ns();
	SSL_free(server);
	counted_ns += cpu_ns() - before;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: handshake CERT KEY 1.2|1.3 full|resumed COUNT\n");
		return 2;
	}
	SSL_CTX *context = server_context(argv[1], argv[2]);
	struct client_tls_settings settings = {.name_pattern = "app.bench.test",
		.version = strcmp(argv[3], "1.2") == 0 ? CLIENT_TLS_1_2 : CLIENT_TLS_1_3,
		.is_resuming = strcmp(argv[4], "resumed") == 0};
	struct client_tls *tls = client_tls_create(&settings);
	int count = atoi(argv[5]);

	for (int i = 0; i < 20; i++)
		one(tls, context);
	counted_ns = 0;
	for (int i = 0; i < count; i++)
		one(tls, context);
	printf("%.2f\n", (double)counted_ns / 1000 / count);
	return 0;
}
