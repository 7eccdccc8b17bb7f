#include "tls/tls_stream.h"

#include "tls/identity.h"
#include "tls/record_io.h"
#include "tls/tls_error.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_TEXT_MAX 160

/* A peer that only asks (key updates) and never reads is not answered beyond this. */
#define UNSENT_MOST (512 * 1024)

struct tls_stream {
	struct stream stream;
	struct record_io io;
	SSL *ssl;
	struct tls_accept accept;
	struct identity *identity;
	const char *refusal;    /* why a callback of ours refused the handshake */
	char *error_text;
	enum io input_ended;    /* IO_DONE while it has not */
	bool failed, end_said;
};

static struct tls_stream *of(const struct stream *stream)
{
	return (struct tls_stream *)stream;
}

static struct tls_stream *of_ssl(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

static enum io fail_with(struct tls_stream *tls, const char *text)
{
	tls->failed = true;
	if (!tls->stream.error)
		tls->stream.error = text;
	return IO_FAIL;
}

static const char *formatted(struct tls_stream *tls, const char *prefix, const char *text)
{
	if (!tls->error_text)
		tls->error_text = malloc(ERROR_TEXT_MAX);
	if (!tls->error_text)
		return text;
	snprintf(tls->error_text, ERROR_TEXT_MAX, "%s%s", prefix, text);
	return tls->error_text;
}

/* Why OpenSSL gave up, the nearest cause first. */
static enum io fail(struct tls_stream *tls)
{
	unsigned long code = ERR_peek_last_error();
	int reason = ERR_GET_REASON(code);
	if (tls->refusal) {
		ERR_clear_error();
		return fail_with(tls, tls->refusal);
	}
	if (tls->io.error) {
		ERR_clear_error();
		return fail_with(tls, stream_error_text(tls->io.error));
	}
	if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING || (code == 0 && tls->io.eof)) {
		ERR_clear_error();
		return fail_with(tls, SSL_is_init_finished(tls->ssl)
				? "TLS truncated: closed without close_notify"
				: "closed during the handshake");
	}
	bool said_by_peer = reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
	const char *text = tls_error_take();
	return fail_with(tls, said_by_peer ? formatted(tls, "peer sent: ", text) : text);
}

/* IO_DONE here: OpenSSL wants nothing but input. */
static enum io outcome(struct tls_stream *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return IO_EOF;
	default:
		return fail(tls);
	}
}

static enum io tls_handshake(struct stream *stream)
{
	struct tls_stream *tls = of(stream);
	if (tls->failed)
		return IO_FAIL;
	record_io_open(&tls->io);
	ERR_clear_error();
	int result = SSL_do_handshake(tls->ssl);
	enum io io = result == 1 ? IO_DONE : outcome(tls, result);
	enum io sent = record_io_close(&tls->io); /* the alert of a failure, too */
	if (io == IO_EOF)
		return fail_with(tls, "closed during the handshake");
	if (io != IO_FAIL && sent == IO_FAIL)
		return fail(tls);
	return io;
}

static enum io tls_read(struct stream *stream, struct buf *buf)
{
	struct tls_stream *tls = of(stream);
	if (tls->input_ended != IO_DONE)
		return tls->input_ended;
	if (tls->failed)
		return IO_FAIL;
	size_t before = buf->end;
	record_io_open(&tls->io);
	ERR_clear_error();
	enum io io = IO_DONE;
	while (io == IO_DONE && buf_room(buf) > 0) {
		size_t n = 0;
		int result = SSL_read_ex(tls->ssl, buf->data + buf->end, buf_room(buf), &n);
		buf->end += n;
		if (result != 1)
			io = outcome(tls, result);
	}
	if (record_io_close(&tls->io) == IO_FAIL && io != IO_FAIL)
		io = fail(tls);
	if (buf_used(&tls->io.out) > UNSENT_MOST)
		io = fail_with(tls, "peer asks and does not read");
	if (io == IO_EOF || io == IO_FAIL)
		tls->input_ended = io;
	return buf->end > before ? IO_DONE : io;
}

static enum io tls_write(struct stream *stream, struct buf *buf)
{
	struct tls_stream *tls = of(stream);
	if (tls->failed)
		return IO_FAIL;
	record_io_open(&tls->io);
	if (record_io_has_output(&tls->io)) {
		enum io sent = record_io_close(&tls->io);
		if (sent != IO_DONE)
			return sent == IO_FAIL ? fail(tls) : sent;
		record_io_open(&tls->io);
	}
	ERR_clear_error();
	enum io io = IO_DONE;
	while (io == IO_DONE && buf_used(buf) > 0) {
		size_t n = 0;
		int result = SSL_write_ex(tls->ssl, buf->data + buf->start, buf_used(buf), &n);
		buf->start += n;
		if (result != 1)
			io = outcome(tls, result);
	}
	enum io sent = record_io_close(&tls->io);
	if (io == IO_FAIL || sent == IO_FAIL)
		return fail(tls);
	return io == IO_DONE ? sent : io;
}

/* close_notify once, then, when all is sent, FIN. */
static enum io tls_end(struct stream *stream)
{
	struct tls_stream *tls = of(stream);
	if (tls->failed || !SSL_is_init_finished(tls->ssl))
		return IO_FAIL;
	record_io_open(&tls->io);
	ERR_clear_error();
	if (!tls->end_said && SSL_shutdown(tls->ssl) < 0)
		ERR_clear_error();
	tls->end_said = true;
	enum io sent = record_io_close(&tls->io);
	if (sent == IO_FAIL)
		return fail(tls);
	if (sent == IO_AGAIN)
		return sent;
	shutdown(socket_fd(tls->stream.socket), SHUT_WR);
	return IO_DONE;
}

static int tls_events(const struct stream *stream, int wanted)
{
	return wanted | (record_io_has_output(&of(stream)->io) ? EV_WRITE : 0);
}

static bool tls_pending(const struct stream *stream)
{
	const struct tls_stream *tls = of(stream);
	return !tls->failed && (SSL_pending(tls->ssl) > 0 || record_io_has_input(&tls->io));
}

static int tls_raw_fd(const struct stream *stream)
{
	(void)stream;
	return -1;
}

static void tls_destroy(struct stream *stream)
{
	struct tls_stream *tls = of(stream);
	SSL_free(tls->ssl);
	record_io_finish(&tls->io);
	identity_free(tls->identity);
	free(tls->error_text);
	free(tls);
}

static const struct stream_ops tls_ops = {
	.handshake = tls_handshake,
	.read = tls_read,
	.write = tls_write,
	.end = tls_end,
	.events = tls_events,
	.pending = tls_pending,
	.raw_fd = tls_raw_fd,
	.destroy = tls_destroy,
};

struct stream *tls_accept_stream(
	struct lane *lane, struct socket *socket, const struct tls_accept *accept, struct err *err)
{
	struct tls_stream *tls = calloc(1, sizeof *tls);
	SSL *ssl = tls ? SSL_new(accept->context->ssl_ctx) : NULL;
	BIO *bio = ssl ? record_io_bio(&tls->io) : NULL;
	if (!bio) {
		err_set(err, "out of memory");
		SSL_free(ssl);
		free(tls);
		return NULL;
	}
	record_io_init(&tls->io, lane, socket);
	tls->stream = (struct stream){.ops = &tls_ops, .socket = socket};
	tls->ssl = ssl;
	tls->accept = *accept;
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, tls);
	SSL_set_session_id_context(ssl, accept->binding.bytes, sizeof accept->binding.bytes);
	SSL_set_accept_state(ssl);
	return &tls->stream;
}

void tls_stream_facts(const struct stream *stream, struct tls_facts *out)
{
	const struct tls_stream *tls = of(stream);
	*out = (struct tls_facts){.identity = tls->identity};
	if (!SSL_is_init_finished(tls->ssl))
		return;
	out->version = SSL_get_version(tls->ssl);
	out->cipher = SSL_get_cipher_name(tls->ssl);
	out->resumed = SSL_session_reused(tls->ssl);
}

const struct ticket_binding *tls_stream_binding(SSL *ssl)
{
	return &of_ssl(ssl)->accept.binding;
}

static bool is_routed_name(const struct tls_stream *tls, const char *sni)
{
	struct server_name seen = {0};
	if (sni && server_name_parse(span_of_string(sni), &seen) != NULL)
		return false;
	return strcmp(seen.text, tls->accept.name) == 0;
}

/* A second hello, after a HelloRetryRequest, may not name another host than the routed first. */
int tls_stream_on_server_name(SSL *ssl, int *alert, void *unused)
{
	struct tls_stream *tls = of_ssl(ssl);
	(void)unused;
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (is_routed_name(tls, sni))
		return sni ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
	tls->refusal = "the server name changed during the handshake";
	*alert = SSL_AD_ILLEGAL_PARAMETER;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int tls_stream_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *unused)
{
	struct tls_stream *tls = of_ssl(ssl);
	struct span list = span_of(in, in_len), id, wanted = tls->accept.alpn;
	(void)unused;
	if (wanted.len == 0)
		return SSL_TLSEXT_ERR_NOACK;
	while (span_take_vector8(&list, &id)) {
		if (!span_equal(id, wanted))
			continue;
		*out = id.data;
		*out_len = (unsigned char)id.len;
		return SSL_TLSEXT_ERR_OK;
	}
	tls->refusal = "the application protocol changed during the handshake";
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool is_forgiven(const struct tls_policy *policy, int error, int depth)
{
	if (error == X509_V_ERR_UNABLE_TO_GET_CRL)
		return depth > 0;
	return error == X509_V_ERR_CRL_HAS_EXPIRED && !policy->refuse_expired_crl;
}

static int refuse(struct tls_stream *tls, X509_STORE_CTX *store, const char *why)
{
	tls->refusal = why ? why : "not admitted";
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* The leaf comes last, when the chain above it has been found good. */
int tls_stream_on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *tls = of_ssl(ssl);
	int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
	if (!tls->identity)
		tls->identity = identity_of(X509_STORE_CTX_get0_cert(store));
	if (!ok && is_forgiven(&tls->accept.context->policy, error, depth)) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	if (!ok) {
		tls->refusal = formatted(
			tls, "client certificate: ", X509_verify_cert_error_string(error));
		return 0;
	}
	if (depth > 0 || !tls->accept.admit)
		return 1;
	const char *why = NULL;
	if (!tls->identity)
		return refuse(tls, store, "out of memory");
	if (!tls->accept.admit(tls->accept.owner, tls->identity, &why))
		return refuse(tls, store, why);
	return 1;
}
