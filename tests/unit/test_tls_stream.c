/* The server's side of TLS on a real TCP pair, with OpenSSL as the client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../e2e/tools/seal.h"
#include "made_certificate.h"
#include "net/plain_stream.h"
#include "tls/tls_accept.h"

#define TURNS_MAX 100000

static struct credential *credential;
static struct tickets *tickets;
static struct tls_context *context;
static SSL_CTX *client_context;

/* The client is an SSL on memory: what passes between it and the socket is the test's to decide. */
struct rig {
	struct ev_loop *loop;
	struct loop_ctx ctx;
	struct plain_stream plain;
	struct stream *stream;
	struct tls_accept accept;
	int fd;         /* the client's end */
	size_t segment; /* most bytes that leave the client at a time */
	bool is_deaf;   /* the client does not read */
	SSL *client;
	BIO *in, *out;
};

static void make_pair(int fds[2])
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof here;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&here, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&here, &len);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &(int){8192}, sizeof(int));
	assert_int_equal(connect(fds[0], (struct sockaddr *)&here, len), 0);
	fds[1] = accept(listener, NULL, NULL);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &(int){8192}, sizeof(int));
	setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	close(listener);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
}

static void on_ready(void *owner, struct stream *stream, int events)
{
	(void)owner, (void)stream, (void)events;
}

static void rig_open(struct rig *rig)
{
	int fds[2];
	struct err err;
	*rig = (struct rig){.loop = ev_loop_new(0), .segment = 65536};
	assert_true(loop_ctx_init(&rig->ctx, rig->loop, &err));
	make_pair(fds);
	rig->fd = fds[0];
	rig->stream = plain_stream_init(&rig->plain, rig->loop, fds[1]);
	stream_set_driver(rig->stream, on_ready, rig);
	rig->accept = (struct tls_accept){.context = context, .name = "site.test"};
	rig->client = SSL_new(client_context);
	rig->in = BIO_new(BIO_s_mem());
	rig->out = BIO_new(BIO_s_mem());
	SSL_set_bio(rig->client, rig->in, rig->out);
	SSL_set_connect_state(rig->client);
	SSL_set_tlsext_host_name(rig->client, "site.test");
}

static void rig_accept(struct rig *rig)
{
	struct err err;
	rig->stream = tls_accept_stream(&rig->ctx, rig->stream, &rig->accept, &err);
	assert_non_null(rig->stream);
}

static void rig_close(struct rig *rig)
{
	stream_destroy(rig->stream);
	SSL_free(rig->client);
	if (rig->fd >= 0)
		close(rig->fd);
	loop_ctx_finish(&rig->ctx);
	ev_loop_destroy(rig->loop);
}

/* A segment from the client to the socket, and what came back. */
static void carry(struct rig *rig)
{
	static char data[65536];
	char *waiting;
	long len = BIO_get_mem_data(rig->out, &waiting);
	size_t part = (size_t)len < rig->segment ? (size_t)len : rig->segment;
	ssize_t n = part > 0 ? send(rig->fd, waiting, part, MSG_NOSIGNAL) : 0;
	if (n > 0)
		BIO_read(rig->out, data, (int)n);
	n = rig->is_deaf ? -1 : recv(rig->fd, data, sizeof data, 0);
	if (n > 0)
		BIO_write(rig->in, data, (int)n);
}

/* How the server's handshake ended. */
static enum io shake_hands(struct rig *rig)
{
	enum io io = IO_AGAIN;
	bool client_done = false;
	rig_accept(rig);
	for (int i = 0; i < TURNS_MAX && io != IO_FAIL && (io == IO_AGAIN || !client_done); i++) {
		client_done = SSL_do_handshake(rig->client) == 1;
		carry(rig);
		if (io == IO_AGAIN)
			io = stream_handshake(rig->stream);
	}
	ERR_clear_error();
	return io;
}

static void stand(struct rig *rig)
{
	rig_open(rig);
	assert_int_equal(shake_hands(rig), IO_DONE);
}

/* Reads to the end, or while anything comes; the bytes are counted and checked. */
static enum io read_all(struct rig *rig, size_t *total)
{
	enum io io = IO_AGAIN;
	for (int idle = 0; idle < 3 && io != IO_EOF && io != IO_FAIL;) {
		struct buf buf = {.data = rig->ctx.plain, .size = LOOP_PLAIN_SIZE};
		io = stream_read(rig->stream, &buf);
		for (size_t at = 0; at < buf_used(&buf); at++)
			assert_int_equal(buf.data[at], (uint8_t)((*total + at) * 7 >> 3));
		*total += buf_used(&buf);
		bool is_idle = BIO_pending(rig->out) == 0 && io == IO_AGAIN;
		idle = is_idle ? idle + 1 : 0;
		carry(rig);
	}
	return io;
}

static void client_writes(struct rig *rig, size_t offset, size_t len)
{
	uint8_t *data = malloc(len);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)((offset + i) * 7 >> 3);
	assert_int_equal(SSL_write(rig->client, data, (int)len), len);
	free(data);
}

static void on_event(void *owner, struct stream *stream, int events)
{
	(void)stream;
	*(int *)owner |= events;
}

/* Whatever is waited for. */
static void test_a_transport_that_is_not_watched(void **state)
{
	struct rig rig;
	int events = 0;
	(void)state;
	stand(&rig);
	stream_set_driver(rig.stream, on_event, &events);
	stream_watch(rig.stream, EV_READ);
	ev_io_stop(rig.loop, &rig.plain.io);
	ev_invoke(rig.loop, &rig.plain.io, EV_ERROR | EV_READ | EV_WRITE);
	assert_true(events & EV_ERROR);
	rig_close(&rig);
}

static void test_handshake(void **state)
{
	struct rig rig;
	struct stream_facts facts;
	(void)state;
	stand(&rig);
	stream_facts(rig.stream, &facts);
	assert_string_equal(facts.tls_version, "TLSv1.3");
	assert_false(facts.resumed);
	assert_null(facts.identity);
	assert_int_equal(stream_raw_in(rig.stream), -1);
	rig_close(&rig);
}

static void test_one_byte_at_a_time(void **state)
{
	struct rig rig;
	size_t total = 0;
	(void)state;
	rig_open(&rig);
	rig.segment = 1;
	assert_int_equal(shake_hands(&rig), IO_DONE);
	client_writes(&rig, 0, 1000);
	while (total < 1000)
		assert_int_not_equal(read_all(&rig, &total), IO_FAIL);
	rig_close(&rig);
}

/* Records of any size, segments of any size; what was read ahead is not forgotten. */
static void test_every_byte(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 20; seed++) {
		struct rig rig;
		size_t sent = 0, total = 0;
		srand(seed);
		stand(&rig);
		while (sent < 500000) {
			size_t len = 1 + (size_t)rand() % (seed % 2 ? 40000 : 300);
			if (seed % 2 == 0 && sent > 20000)
				break;
			client_writes(&rig, sent, len);
			sent += len;
			rig.segment = 1 + (size_t)rand() % 9000;
			assert_int_not_equal(read_all(&rig, &total), IO_FAIL);
		}
		rig.segment = 65536;
		for (int i = 0; i < 100 && total < sent; i++)
			assert_int_not_equal(read_all(&rig, &total), IO_FAIL);
		assert_int_equal(total, sent);
		rig_close(&rig);
	}
}

/* A buffer with little room: the rest waits where poll cannot see it, and `pending` says so. */
static void test_pending(void **state)
{
	struct rig rig;
	uint8_t room[10];
	struct buf buf = {.data = room, .size = sizeof room};
	(void)state;
	stand(&rig);
	client_writes(&rig, 0, 10); /* one record is read whole, the next is not begun */
	client_writes(&rig, 10, 90);
	for (int i = 0; i < 1000 && buf_room(&buf) > 0; i++) {
		carry(&rig);
		stream_read(rig.stream, &buf);
	}
	assert_int_equal(buf_used(&buf), 10);
	assert_true(stream_pending(rig.stream));
	buf = (struct buf){.data = rig.ctx.plain, .size = LOOP_PLAIN_SIZE};
	assert_int_equal(stream_read(rig.stream, &buf), IO_DONE);
	assert_int_equal(buf_used(&buf), 90);
	assert_false(stream_pending(rig.stream));
	rig_close(&rig);
}

/* More than the kernel takes: nothing is lost, and it asks to be called when there is room. */
static void test_partial_sends(void **state)
{
	static uint8_t data[LOOP_PLAIN_SIZE], heard[LOOP_PLAIN_SIZE];
	struct rig rig;
	size_t got = 0;
	(void)state;
	stand(&rig);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 31 >> 4);
	struct buf buf = {.data = data, .end = sizeof data, .size = sizeof data};
	rig.is_deaf = true;
	enum io io = stream_write(rig.stream, &buf);
	assert_int_equal(io, IO_AGAIN);
	stream_watch(rig.stream, EV_READ);
	assert_int_equal(rig.plain.io.events & (EV_READ | EV_WRITE), EV_READ | EV_WRITE);
	assert_int_equal(stream_write(rig.stream, &buf), IO_AGAIN);
	rig.is_deaf = false;
	for (int i = 0; i < TURNS_MAX && got < sizeof heard; i++) {
		size_t n = 0;
		if (io == IO_AGAIN)
			io = stream_write(rig.stream, &buf);
		carry(&rig);
		while (SSL_read_ex(rig.client, heard + got, sizeof heard - got, &n) == 1)
			got += n;
	}
	assert_int_equal(io, IO_DONE);
	assert_int_equal(got, sizeof heard);
	assert_memory_equal(heard, data, sizeof data);
	stream_watch(rig.stream, EV_READ);
	assert_int_equal(rig.plain.io.events & (EV_READ | EV_WRITE), EV_READ);
	rig_close(&rig);
}

static void test_close_notify_is_an_end(void **state)
{
	struct rig rig;
	size_t total = 0;
	(void)state;
	stand(&rig);
	client_writes(&rig, 0, 100);
	SSL_shutdown(rig.client);
	assert_int_equal(read_all(&rig, &total), IO_EOF);
	assert_int_equal(total, 100);
	struct buf buf = {.data = rig.ctx.plain, .size = 10};
	assert_int_equal(stream_read(rig.stream, &buf), IO_EOF); /* and stays one */
	buf = (struct buf){.data = (uint8_t *)"still here", .end = 10, .size = 10};
	assert_int_equal(stream_write(rig.stream, &buf), IO_DONE);
	char heard[20];
	carry(&rig);
	assert_int_equal(SSL_read(rig.client, heard, sizeof heard), 10);
	rig_close(&rig);
}

/* Cut at any byte of the records that say "100 bytes, and that was all". */
static void test_truncation_is_no_end(void **state)
{
	size_t whole = 0;
	(void)state;
	for (size_t cut = 0; cut == 0 || cut < whole; cut++) {
		struct rig rig;
		char records[400];
		size_t total = 0;
		stand(&rig);
		client_writes(&rig, 0, 100);
		SSL_shutdown(rig.client);
		whole = (size_t)BIO_read(rig.out, records, sizeof records);
		assert_int_equal(send(rig.fd, records, cut, MSG_NOSIGNAL), cut);
		shutdown(rig.fd, SHUT_WR);
		assert_int_equal(read_all(&rig, &total), IO_FAIL);
		assert_non_null(strstr(rig.stream->error, "closed without close_notify"));
		assert_true(total == 0 || total == 100);
		struct stream_facts facts;
		stream_facts(rig.stream, &facts);
		assert_string_equal(facts.tls_version, "TLSv1.3"); /* secured it was */
		struct buf buf = {.data = (uint8_t *)"x", .end = 1, .size = 1};
		assert_int_equal(stream_write(rig.stream, &buf), IO_FAIL);
		assert_int_equal(stream_end(rig.stream, HALF_CLOSE), IO_FAIL);
		rig_close(&rig);
	}
}

static void test_a_reset(void **state)
{
	struct rig rig;
	struct linger now = {1, 0};
	size_t total = 0;
	(void)state;
	stand(&rig);
	setsockopt(rig.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(rig.fd);
	rig.fd = -1;
	assert_int_equal(read_all(&rig, &total), IO_FAIL);
	assert_string_equal(rig.stream->error, "reset by peer");
	rig_close(&rig);
}

static void test_ends_with_close_notify_and_fin(void **state)
{
	struct rig rig;
	char data[10];
	(void)state;
	stand(&rig);
	assert_int_equal(stream_end(rig.stream, HALF_CLOSE), IO_DONE);
	carry(&rig);
	assert_int_equal(SSL_read(rig.client, data, sizeof data), 0);
	assert_int_equal(SSL_get_error(rig.client, 0), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(recv(rig.fd, data, sizeof data, 0), 0);
	rig_close(&rig);
}

/* The FIN waits for the bytes before it. */
static void test_the_end_waits_for_the_bytes(void **state)
{
	static uint8_t data[LOOP_PLAIN_SIZE];
	struct rig rig;
	struct buf buf = {.data = data, .end = sizeof data, .size = sizeof data};
	size_t got = 0;
	(void)state;
	stand(&rig);
	rig.is_deaf = true;
	assert_int_equal(stream_write(rig.stream, &buf), IO_AGAIN);
	assert_int_equal(buf_used(&buf), 0);
	enum io io = stream_end(rig.stream, HALF_CLOSE);
	assert_int_equal(io, IO_AGAIN);
	rig.is_deaf = false;
	for (int i = 0; i < TURNS_MAX && !SSL_get_shutdown(rig.client); i++) {
		size_t n = 0;
		if (io == IO_AGAIN)
			io = stream_end(rig.stream, HALF_CLOSE);
		carry(&rig);
		while (SSL_read_ex(rig.client, data, sizeof data, &n) == 1)
			got += n;
	}
	assert_int_equal(io, IO_DONE);
	assert_int_equal(got, sizeof data);
	rig_close(&rig);
}

static void ask_for_keys(struct rig *rig, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		SSL_key_update(rig->client, SSL_KEY_UPDATE_REQUESTED);
		assert_int_equal(SSL_do_handshake(rig->client), 1);
	}
}

static void test_key_updates(void **state)
{
	struct rig rig;
	size_t total = 0;
	(void)state;
	stand(&rig);
	for (int round = 0; round < 20; round++) {
		ask_for_keys(&rig, 1);
		client_writes(&rig, total, 100);
		size_t wanted = total + 100;
		for (int i = 0; i < 100 && total < wanted; i++)
			assert_int_not_equal(read_all(&rig, &total), IO_FAIL);
		struct buf buf = {.data = (uint8_t *)"answer", .end = 6, .size = 6};
		assert_int_equal(stream_write(rig.stream, &buf), IO_DONE);
		carry(&rig);
		char heard[20];
		assert_int_equal(SSL_read(rig.client, heard, sizeof heard), 6);
	}
	rig_close(&rig);
}

/* Asks for new keys and for nothing else: given up before it takes all the time there is. */
static void test_a_flood_of_key_updates(void **state)
{
	struct rig rig;
	struct buf buf;
	enum io io = IO_AGAIN;
	(void)state;
	stand(&rig);
	buf = (struct buf){.data = rig.ctx.plain, .size = LOOP_PLAIN_SIZE};
	ask_for_keys(&rig, 1000);
	for (int i = 0; i < 100 && io == IO_AGAIN; i++) {
		carry(&rig);
		io = stream_read(rig.stream, &buf);
	}
	assert_int_equal(io, IO_FAIL);
	assert_string_equal(rig.stream->error, "too many control messages from the peer");
	rig_close(&rig);
}

/* A byte between them does not pay for key updates, and their unread answers fill no memory. */
static void test_a_byte_does_not_pay_for_key_updates(void **state)
{
	struct rig rig;
	enum io io = IO_AGAIN;
	(void)state;
	stand(&rig);
	rig.is_deaf = true;
	for (int round = 0; round < 20000 && io != IO_FAIL; round++) {
		struct buf buf = {.data = rig.ctx.plain, .size = LOOP_PLAIN_SIZE};
		ask_for_keys(&rig, 20);
		client_writes(&rig, 0, 1);
		for (int i = 0; i < 100 && BIO_pending(rig.out) > 0 && io != IO_FAIL; i++) {
			carry(&rig);
			io = stream_read(rig.stream, &buf);
		}
	}
	assert_int_equal(io, IO_FAIL);
	assert_string_equal(rig.stream->error, "too many control messages from the peer");
	rig_close(&rig);
}

static void fails_with(struct rig *rig, const char *words)
{
	assert_int_equal(shake_hands(rig), IO_FAIL);
	if (!strstr(rig->stream->error, words))
		fail_msg("\"%s\"", rig->stream->error);
	struct stream_facts facts;
	stream_facts(rig->stream, &facts);
	assert_null(facts.tls_version);
	assert_int_equal(stream_handshake(rig->stream), IO_FAIL);
	rig_close(rig);
}

/* Each asks for a renegotiation, and is answered with an alert, before OpenSSL asks for input again. */
static void test_a_record_full_of_hellos(void **state)
{
	static uint8_t hellos[SSL3_RT_MAX_PLAIN_LENGTH], record[sizeof hellos + SEAL_OVERHEAD];
	struct rig rig;
	struct seal seal;
	size_t total = 0;
	(void)state;
	rig_open(&rig);
	SSL_set_max_proto_version(rig.client, TLS1_2_VERSION);
	SSL_set_cipher_list(rig.client, SEAL_CIPHERS);
	assert_int_equal(shake_hands(&rig), IO_DONE);
	for (size_t i = 0; i < sizeof hellos; i += 4)
		hellos[i] = SSL3_MT_CLIENT_HELLO;
	assert_true(seal_begin(&seal, rig.client));
	size_t len = seal_record(&seal, SSL3_RT_HANDSHAKE, hellos, sizeof hellos, record);
	assert_int_equal(BIO_write(rig.out, record, (int)len), len);
	assert_int_equal(read_all(&rig, &total), IO_FAIL);
	assert_string_equal(rig.stream->error, "too many control messages from the peer");
	assert_true(BIO_pending(rig.in) < 4096); /* of 4,096 alerts a few */
	rig_close(&rig);
}

static void test_another_name_than_was_routed(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	SSL_set_tlsext_host_name(rig.client, "other.test");
	fails_with(&rig, "the server name changed");
	rig_open(&rig);
	SSL_set_tlsext_host_name(rig.client, NULL);
	fails_with(&rig, "the server name changed");
	rig_open(&rig);
	SSL_set_tlsext_host_name(rig.client, "SITE.test."); /* the same, in another form */
	assert_int_equal(shake_hands(&rig), IO_DONE);
	rig_close(&rig);
}

static void test_alpn(void **state)
{
	static const uint8_t offered[] = "\x02h2\x08http/1.1";
	struct rig rig;
	const uint8_t *chosen;
	unsigned len;
	(void)state;
	rig_open(&rig);
	SSL_set_alpn_protos(rig.client, offered, sizeof offered - 1);
	rig.accept.alpn = span_of_string("http/1.1");
	assert_int_equal(shake_hands(&rig), IO_DONE);
	SSL_get0_alpn_selected(rig.client, &chosen, &len);
	assert_int_equal(len, 8);
	assert_memory_equal(chosen, "http/1.1", 8);
	rig_close(&rig);

	rig_open(&rig);
	SSL_set_alpn_protos(rig.client, offered, sizeof offered - 1);
	assert_int_equal(shake_hands(&rig), IO_DONE); /* none is to be agreed on */
	SSL_get0_alpn_selected(rig.client, &chosen, &len);
	assert_int_equal(len, 0);
	rig_close(&rig);

	rig_open(&rig);
	SSL_set_alpn_protos(rig.client, offered, sizeof offered - 1);
	rig.accept.alpn = span_of_string("ssh");
	fails_with(&rig, "the application protocol changed");
}

static void test_a_client_that_refuses(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	SSL_set_verify(rig.client, SSL_VERIFY_PEER, NULL); /* nobody it knows signed it */
	fails_with(&rig, "alert unknown ca");
}

static void test_gone_in_the_handshake(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_accept(&rig);
	SSL_do_handshake(rig.client);
	rig.segment = 50;
	carry(&rig);
	assert_int_equal(stream_handshake(rig.stream), IO_AGAIN);
	shutdown(rig.fd, SHUT_WR);
	assert_int_equal(stream_handshake(rig.stream), IO_FAIL);
	assert_string_equal(rig.stream->error, "closed during the handshake");
	rig_close(&rig);
}

/* Tickets resume where they were given, and only there. */
static SSL_SESSION *kept;

static int keep(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

static bool resumes(const char *binding)
{
	struct rig rig;
	struct stream_facts facts;
	size_t total = 0;
	char data[10];
	rig_open(&rig);
	memcpy(rig.accept.binding.bytes, binding, strlen(binding));
	if (kept)
		SSL_set_session(rig.client, kept);
	assert_int_equal(shake_hands(&rig), IO_DONE);
	stream_facts(rig.stream, &facts);
	bool is_resumed = facts.resumed;
	for (int i = 0; i < 100; i++) { /* the ticket comes */
		carry(&rig);
		SSL_read(rig.client, data, sizeof data);
	}
	SSL_shutdown(rig.client);
	assert_int_equal(read_all(&rig, &total), IO_EOF);
	rig_close(&rig);
	return is_resumed;
}

static void test_resumption(void **state)
{
	(void)state;
	SSL_CTX_set_session_cache_mode(
		client_context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client_context, keep);
	assert_false(resumes("one"));
	assert_non_null(kept);
	assert_true(resumes("one"));
	assert_false(resumes("other"));
	SSL_CTX_sess_set_new_cb(client_context, NULL);
	SSL_SESSION_free(kept);
	kept = NULL;
}

static int set_up(void **state)
{
	char dir[] = "/tmp/test_tls_stream.XXXXXX", cert[64], key[64];
	struct made_name names[] = {{0, GEN_DNS, BYTES("site.test")}};
	enum credential_part at_fault;
	struct err err;
	EVP_PKEY *made = made_key();
	X509 *certificate = made_certificate(made, names, 1);
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(cert, sizeof cert, "%s/cert", dir);
	snprintf(key, sizeof key, "%s/key", dir);
	FILE *cert_file = fopen(cert, "w"), *key_file = fopen(key, "w");
	PEM_write_X509(cert_file, certificate);
	PEM_write_PrivateKey(key_file, made, NULL, NULL, 0, NULL, NULL);
	fclose(cert_file);
	fclose(key_file);
	struct credential_readers readers = {.keys = key_reader_create()};
	credential = credential_load(cert, key, &readers, &at_fault, &err);
	key_reader_destroy(readers.keys);
	unlink(cert);
	unlink(key);
	rmdir(dir);
	EVP_PKEY_free(made);
	X509_free(certificate);
	tickets = tickets_create(&err);
	struct tls_policy policy = {.credentials = {credential},
		.credential_count = 1,
		.min_version = TLS1_2_VERSION,
		.tickets = true};
	static struct tls_groups groups;
	tls_groups_find(&groups);
	context = tls_context_create(&policy, tickets, &groups, &err);
	client_context = SSL_CTX_new(TLS_client_method());
	return credential && context && client_context ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	SSL_CTX_free(client_context);
	tls_context_unref(context);
	tickets_destroy(tickets);
	credential_unref(credential);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_one_byte_at_a_time),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_partial_sends),
		cmocka_unit_test(test_close_notify_is_an_end),
		cmocka_unit_test(test_truncation_is_no_end),
		cmocka_unit_test(test_a_reset),
		cmocka_unit_test(test_ends_with_close_notify_and_fin),
		cmocka_unit_test(test_the_end_waits_for_the_bytes),
		cmocka_unit_test(test_a_transport_that_is_not_watched),
		cmocka_unit_test(test_key_updates),
		cmocka_unit_test(test_a_flood_of_key_updates),
		cmocka_unit_test(test_a_byte_does_not_pay_for_key_updates),
		cmocka_unit_test(test_a_record_full_of_hellos),
		cmocka_unit_test(test_another_name_than_was_routed),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_a_client_that_refuses),
		cmocka_unit_test(test_gone_in_the_handshake),
		cmocka_unit_test(test_resumption),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
