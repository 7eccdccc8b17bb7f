#include "tls/tls_stream_inside.h"

#include "tls/cert/identity.h"
#include "tls/tls_error.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_TEXT_MAX 400

/* A peer that only asks (key updates) and never reads is not answered beyond this. */
#define UNSENT_MAX (512 * 1024)

/* Nor one that says nothing in between: each costs as much time as thousands of bytes of data do. */
#define KEY_UPDATES_MAX 32

static struct tls_stream *of(const struct stream *stream)
{
	return (struct tls_stream *)stream;
}

static enum io fail_with(struct tls_stream *tls, const char *text)
{
	tls->failed = true;
	if (!tls->stream.error)
		tls->stream.error = text;
	return IO_FAIL;
}

const char *tls_stream_format(struct tls_stream *tls, const char *format, ...)
{
	if (!tls->error_text)
		tls->error_text = malloc(ERROR_TEXT_MAX);
	if (!tls->error_text)
		return format;
	va_list args;
	va_start(args, format);
	vsnprintf(tls->error_text, ERROR_TEXT_MAX, format, args);
	va_end(args);
	return tls->error_text;
}

/* Why OpenSSL gave up, the nearest cause first. */
static enum io fail(struct tls_stream *tls)
{
	if (tls->io.error && tls->peer && !tls->refusal)
		tls_connect_hear_alert(tls);
	unsigned long code = ERR_peek_last_error();
	int reason = ERR_GET_REASON(code);
	bool said_by_peer = reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
	if (!tls->failed)
		tls->reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? reason : 0;
	if (tls->refusal) {
		tls_error_clear();
		return fail_with(tls, tls->refusal);
	}
	if (tls->io.error && !said_by_peer) {
		tls_error_clear();
		return fail_with(tls, stream_error_text(tls->io.error));
	}
	if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING || (code == 0 && tls->io.eof)) {
		tls_error_clear();
		return fail_with(tls,
			tls->secured ? "closed without close_notify"
				     : "closed during the handshake");
	}
	const char *text = tls_error_take();
	return fail_with(tls, said_by_peer ? tls_stream_format(tls, "peer sent: %s", text) : text);
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

/* OpenSSL works off whatever there is before it comes back to us; without input it must. */
static void on_message(
	int is_ours, int version, int type, const void *data, size_t len, SSL *ssl, void *owner)
{
	struct tls_stream *tls = owner;
	(void)version, (void)ssl;
	if (is_ours || type != SSL3_RT_HANDSHAKE || len == 0 ||
		*(const uint8_t *)data != SSL3_MT_KEY_UPDATE)
		return;
	if (++tls->key_updates <= KEY_UPDATES_MAX)
		return;
	tls->refusal = "peer asks for new keys again and again";
	tls->io.error = EPROTO;
}

/* Before that nobody can ask for new keys. */
static void secured(struct tls_stream *tls)
{
	tls->secured = true;
	SSL_set_msg_callback(tls->ssl, on_message);
	SSL_set_msg_callback_arg(tls->ssl, tls);
}

static enum io tls_handshake(struct stream *stream)
{
	struct tls_stream *tls = of(stream);
	if (tls->failed)
		return IO_FAIL;
	record_io_open(&tls->io);
	tls_error_clear();
	int result = SSL_do_handshake(tls->ssl);
	enum io io = result == 1 ? IO_DONE : outcome(tls, result);
	if (result == 1)
		secured(tls);
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
	tls_error_clear();
	enum io io = IO_DONE;
	while (io == IO_DONE && buf_room(buf) > 0) {
		size_t n = 0;
		int result = SSL_read_ex(tls->ssl, buf->data + buf->end, buf_room(buf), &n);
		buf->end += n;
		if (n > 0)
			tls->key_updates = 0;
		if (result != 1)
			io = outcome(tls, result);
		else if (record_io_is_worked_off(&tls->io) && SSL_pending(tls->ssl) == 0)
			break;
	}
	if (record_io_close(&tls->io) == IO_FAIL && io != IO_FAIL)
		io = fail(tls);
	if (buf_used(&tls->io.out) > UNSENT_MAX)
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
	tls_error_clear();
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
static enum io tls_end(struct stream *stream, enum closing closing)
{
	struct tls_stream *tls = of(stream);
	if (tls->failed || !tls->secured)
		return IO_FAIL;
	record_io_open(&tls->io);
	tls_error_clear();
	if (!tls->end_said && SSL_shutdown(tls->ssl) < 0)
		tls_error_clear();
	tls->end_said = true;
	tls->io.more_follows = true; /* the FIN goes in the same segment */
	enum io sent = record_io_close(&tls->io);
	if (sent == IO_FAIL)
		return fail(tls);
	if (sent == IO_AGAIN)
		return sent;
	if (closing == HALF_CLOSE)
		shutdown(socket_fd(tls->stream.socket), SHUT_WR);
	return IO_DONE;
}

static int tls_events(const struct stream *stream, int wanted)
{
	return wanted | (record_io_has_output(&of(stream)->io) ? EV_WRITE : 0);
}

/* An end that was read along with the last bytes is still to be told, and poll does not know it. */
static bool tls_pending(const struct stream *stream)
{
	const struct tls_stream *tls = of(stream);
	return tls->input_ended != IO_DONE ||
		(!tls->failed && (SSL_pending(tls->ssl) > 0 || record_io_has_input(&tls->io)));
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
	tls_peer_unref(tls->peer);
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

struct tls_stream *tls_stream_create(
	struct loop_ctx *ctx, struct socket *socket, SSL *ssl, struct err *err)
{
	struct tls_stream *tls = calloc(1, sizeof *tls);
	BIO *bio = tls && ssl ? record_io_bio(&tls->io) : NULL;
	if (!bio) {
		err_set(err, "out of memory");
		SSL_free(ssl);
		free(tls);
		return NULL;
	}
	record_io_init(&tls->io, ctx, socket);
	tls->stream = (struct stream){.ops = &tls_ops, .socket = socket};
	tls->ssl = ssl;
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, tls);
	return tls;
}

void tls_stream_facts(const struct stream *stream, struct tls_facts *out)
{
	const struct tls_stream *tls = of(stream);
	*out = (struct tls_facts){.identity = tls->identity};
	if (!tls->secured)
		return;
	out->version = SSL_get_version(tls->ssl);
	out->cipher = SSL_get_cipher_name(tls->ssl);
	out->resumed = SSL_session_reused(tls->ssl);
	unsigned len;
	SSL_get0_alpn_selected(tls->ssl, &out->alpn.data, &len);
	out->alpn.len = len;
}
