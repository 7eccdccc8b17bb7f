#include "tls/tls_stream.h"

#include "tls/cert/ossl_error.h"
#include "tls/tls_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

/*
 * Messages that are not data: key updates, tickets, hellos of a renegotiation, alerts. A peer may send some at
 * once, and one for each so many bytes of data.
 */
#define CONTROLS_MAX          32
#define CONTROL_PAYLOAD_BYTES (1024 * 1024)

/* One such message, as reads: new keys, and an answer. */
#define CONTROL_READS 12

/* One call of a handshake, in units of loop_ctx: signatures and key exchange. */
#define HANDSHAKE_COST 80

static enum io tls_fail_with(struct tls_stream *tls, const char *text)
{
	tls->is_failed = true;
	if (!tls->stream.error)
		tls->stream.error = text;
	return IO_FAIL;
}

/* A server that refuses often closes with our bytes unread: its alert, and then a reset, wait. */
static void read_alert(struct tls_stream *tls)
{
	int error = tls->io.error;
	uint8_t byte;
	tls->io.error = 0;
	record_io_open(&tls->io);
	ERR_clear_error();
	SSL_peek(tls->conn.ssl, &byte, sizeof byte);
	tls->io.error = error;
}

/* Why OpenSSL gave up, the nearest cause first. */
static enum io tls_fail(struct tls_stream *tls)
{
	if (tls->io.error && tls->conn.peer && !tls->conn.refusal)
		read_alert(tls);
	unsigned long code = ERR_peek_last_error();
	int reason = ERR_GET_REASON(code);
	bool said_by_peer = reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
	if (!tls->is_failed)
		tls->reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? reason : 0;
	if (tls->conn.refusal) {
		ossl_error_clear();
		return tls_fail_with(tls, tls->conn.refusal);
	}
	if (tls->io.error && !said_by_peer) {
		ossl_error_clear();
		return tls_fail_with(tls, stream_error_text(tls->io.error));
	}
	if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING || (code == 0 && tls->io.eof)) {
		ossl_error_clear();
		return tls_fail_with(tls,
			tls->is_secured ? "closed without close_notify"
					: "closed during the handshake");
	}
	const char *text = ossl_error_take();
	return tls_fail_with(
		tls, said_by_peer ? tls_conn_format(&tls->conn, "peer sent: %s", text) : text);
}

/* IO_DONE here: OpenSSL wants nothing but input. */
static enum io tls_outcome(struct tls_stream *tls, int result)
{
	switch (SSL_get_error(tls->conn.ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return tls->conn.refusal ? tls_fail(tls) : IO_EOF;
	default:
		return tls_fail(tls);
	}
}

/*
 * OpenSSL works off whatever there is before it returns to us. Without input it must return; within a record,
 * which may hold thousands of messages, it stops for a peer that has shut down.
 */
static void refuse_controls(struct tls_stream *tls)
{
	tls->io.reads += CONTROL_READS;
	if (++tls->controls <= CONTROLS_MAX)
		return;
	tls->conn.refusal = "too many control messages from the peer";
	tls->io.error = EPROTO;
	SSL_set_shutdown(tls->conn.ssl, SSL_RECEIVED_SHUTDOWN);
}

/*
 * A record of any other type than data counts, and each message in it behind the first. TLS 1.3 hides the type
 * of a record inside; below it is in the header.
 */
__attribute__((noinline)) static void on_control(struct tls_stream *tls, bool is_record)
{
	if (is_record || !tls->has_counted_record)
		refuse_controls(tls);
	tls->has_counted_record = is_record;
}

static void on_message(
	int is_ours, int version, int type, const void *data, size_t len, SSL *ssl, void *owner)
{
	struct tls_stream *tls = owner;
	(void)version, (void)ssl;
	if (is_ours)
		return;
	if (type == SSL3_RT_HANDSHAKE)
		on_control(tls, false);
	else if (type == tls->type_of_types && len > 0 &&
		*(const uint8_t *)data != SSL3_RT_APPLICATION_DATA)
		on_control(tls, true);
}

/* Data earns the right to control messages, in proportion. */
static void earn_controls(struct tls_stream *tls, size_t payload)
{
	tls->payload += payload;
	if (tls->payload < CONTROL_PAYLOAD_BYTES)
		return;
	tls->payload = 0;
	tls->controls -= tls->controls > 0;
}

/* Before that they are part of the handshake. */
static void tls_secured(struct tls_stream *tls)
{
	bool is_hidden = SSL_version(tls->conn.ssl) >= TLS1_3_VERSION;
	tls->is_secured = true;
	tls->type_of_types = is_hidden ? SSL3_RT_INNER_CONTENT_TYPE : SSL3_RT_HEADER;
	SSL_set_msg_callback(tls->conn.ssl, on_message);
	SSL_set_msg_callback_arg(tls->conn.ssl, tls);
}

static enum io tls_handshake(struct stream *stream)
{
	struct tls_stream *tls = tls_stream_of(stream);
	if (tls->is_failed)
		return IO_FAIL;
	record_io_open(&tls->io);
	ossl_error_clear();
	tls->io.ctx->turn_cost += HANDSHAKE_COST;
	int result = SSL_do_handshake(tls->conn.ssl);
	enum io io = result == 1 ? IO_DONE : tls_outcome(tls, result);
	if (result == 1)
		tls_secured(tls);
	enum io sent = record_io_close(&tls->io); /* the alert of a failure, too */
	if (io == IO_EOF)
		return tls_fail_with(tls, "closed during the handshake");
	if (io != IO_FAIL && sent == IO_FAIL)
		return tls_fail(tls);
	return io;
}

static enum io tls_read(struct stream *stream, struct buf *buf)
{
	struct tls_stream *tls = tls_stream_of(stream);
	if (tls->input_ended != IO_DONE)
		return tls->input_ended;
	if (tls->is_failed)
		return IO_FAIL;
	size_t before = buf->end;
	record_io_open(&tls->io);
	record_io_hurry(&tls->io);
	ossl_error_clear();
	enum io io = IO_DONE;
	while (io == IO_DONE && buf_room(buf) > 0) {
		size_t n = 0;
		int result = SSL_read_ex(tls->conn.ssl, buf->data + buf->end, buf_room(buf), &n);
		buf->end += n;
		earn_controls(tls, n);
		if (result != 1)
			io = tls_outcome(tls, result);
		else if (record_io_is_worked_off(&tls->io) && SSL_pending(tls->conn.ssl) == 0)
			break;
	}
	tls->is_record_open = buf_room(buf) == 0 && SSL_pending(tls->conn.ssl) > 0;
	if (record_io_close(&tls->io) == IO_FAIL && io != IO_FAIL)
		io = tls_fail(tls);
	if (io == IO_EOF || io == IO_FAIL)
		tls->input_ended = io;
	return buf->end > before ? IO_DONE : io;
}

static enum io tls_write(struct stream *stream, struct buf *buf)
{
	struct tls_stream *tls = tls_stream_of(stream);
	if (tls->is_failed)
		return IO_FAIL;
	record_io_open(&tls->io);
	if (record_io_has_output(&tls->io)) {
		enum io sent = record_io_close(&tls->io);
		if (sent != IO_DONE)
			return sent == IO_FAIL ? tls_fail(tls) : sent;
		record_io_open(&tls->io);
	}
	ossl_error_clear();
	enum io io = IO_DONE;
	while (io == IO_DONE && buf_used(buf) > 0) {
		size_t n = 0;
		int result = SSL_write_ex(tls->conn.ssl, buf->data + buf->start, buf_used(buf), &n);
		buf->start += n;
		if (result != 1)
			io = tls_outcome(tls, result);
	}
	enum io sent = record_io_close(&tls->io);
	if (io == IO_FAIL || sent == IO_FAIL)
		return tls_fail(tls);
	return io == IO_DONE ? sent : io;
}

/* close_notify once, then, when all is sent, FIN. */
static enum io tls_end(struct stream *stream, enum closing closing)
{
	struct tls_stream *tls = tls_stream_of(stream);
	if (tls->is_failed || !tls->is_secured)
		return IO_FAIL;
	record_io_open(&tls->io);
	ossl_error_clear();
	if (!tls->is_close_sent && SSL_shutdown(tls->conn.ssl) < 0)
		ossl_error_clear();
	tls->is_close_sent = true;
	tls->io.more_follows = true; /* the FIN goes in the same segment */
	enum io sent = record_io_close(&tls->io);
	if (sent == IO_FAIL)
		return tls_fail(tls);
	if (sent == IO_AGAIN)
		return sent;
	if (closing == HALF_CLOSE)
		return stream_end(tls->lower, HALF_CLOSE);
	return IO_DONE;
}

static bool tls_pending(const struct stream *stream);

/*
 * What OpenSSL made and the kernel did not take has to leave, whatever the driver waits for. What lies here
 * already no poll sees: that the transport is writable, as it mostly is, then stands for it.
 */
static void tls_watch(struct stream *stream, int events)
{
	struct tls_stream *tls = tls_stream_of(stream);
	tls->watched = events;
	if (events != 0 && record_io_has_output(&tls->io))
		events |= EV_WRITE;
	else if (events & EV_READ && tls_pending(stream))
		events |= EV_WRITE;
	stream_watch(tls->lower, events);
}

static void on_lower_ready(void *owner, struct stream *lower, int events)
{
	struct tls_stream *tls = owner;
	(void)lower;
	if (events & EV_WRITE && (record_io_has_output(&tls->io) || tls_pending(&tls->stream)))
		events |= tls->watched;
	tls->stream.on_ready(tls->stream.owner, &tls->stream, events & (tls->watched | EV_ERROR));
}

static void tls_abort(struct stream *stream)
{
	stream_abort(tls_stream_of(stream)->lower);
}

static bool tls_peer_address(const struct stream *stream, struct address *out)
{
	return stream_peer(tls_stream_of(stream)->lower, out);
}

static bool tls_local_address(const struct stream *stream, struct address *out)
{
	return stream_local(tls_stream_of(stream)->lower, out);
}

static enum io tls_drain(struct stream *stream, struct buf scratch)
{
	return stream_drain(tls_stream_of(stream)->lower, scratch);
}

/* An end that was read along with the last bytes is still to be reported, and poll does not know it. */
static bool tls_pending(const struct stream *stream)
{
	const struct tls_stream *tls = tls_stream_of(stream);
	return tls->input_ended != IO_DONE ||
		(!tls->is_failed && (tls->is_record_open || record_io_has_input(&tls->io)));
}

static int tls_raw(const struct stream *stream)
{
	(void)stream;
	return -1;
}

static void tls_facts(const struct stream *stream, struct stream_facts *out)
{
	const struct tls_stream *tls = tls_stream_of(stream);
	*out = (struct stream_facts){.identity = tls->conn.identity};
	if (!tls->is_secured)
		return;
	out->tls_version = SSL_get_version(tls->conn.ssl);
	out->cipher = SSL_get_cipher_name(tls->conn.ssl);
	out->resumed = SSL_session_reused(tls->conn.ssl);
	unsigned len;
	SSL_get0_alpn_selected(tls->conn.ssl, &out->alpn.data, &len);
	out->alpn.len = len;
}

static void tls_destroy(struct stream *stream)
{
	struct tls_stream *tls = tls_stream_of(stream);
	stream_destroy(tls->lower);
	tls_conn_finish(&tls->conn);
	tls_peer_unref(tls->conn.peer);
	record_io_finish(&tls->io);
	free(tls);
}

static const struct stream_ops tls_ops = {
	.handshake = tls_handshake,
	.read = tls_read,
	.write = tls_write,
	.end = tls_end,
	.watch = tls_watch,
	.abort = tls_abort,
	.facts = tls_facts,
	.peer = tls_peer_address,
	.local = tls_local_address,
	.pending = tls_pending,
	.raw_in = tls_raw,
	.raw_out = tls_raw,
	.drain = tls_drain,
	.destroy = tls_destroy,
};

struct tls_stream *tls_stream_create(
	struct loop_ctx *ctx, struct stream *lower, SSL *ssl, struct err *err)
{
	struct tls_stream *tls = calloc(1, sizeof *tls);
	BIO *bio = tls && ssl && SSL_set_app_data(ssl, &tls->conn) == 1 ? record_io_bio(&tls->io)
									: NULL;
	if (!bio) {
		ossl_error_clear();
		err_set(err, "out of memory");
		SSL_free(ssl);
		free(tls);
		return NULL;
	}
	record_io_init(&tls->io, ctx, stream_raw_in(lower));
	tls->stream = (struct stream){
		.ops = &tls_ops, .on_ready = lower->on_ready, .owner = lower->owner};
	tls->lower = lower;
	stream_set_driver(lower, on_lower_ready, tls);
	tls->conn.ssl = ssl;
	SSL_set_bio(ssl, bio, bio);
	return tls;
}
