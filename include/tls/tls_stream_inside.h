/* The inside of a TLS stream, shared by its two ways to begin: tls_accept.c and tls_connect.c. */
#ifndef GATEHOUSE_TLS_TLS_STREAM_INSIDE_H
#define GATEHOUSE_TLS_TLS_STREAM_INSIDE_H

#include "tls/record_io.h"
#include "tls/tls_stream.h"

struct tls_stream {
	struct stream stream;
	struct record_io io;
	SSL *ssl;
	struct tls_accept accept;  /* a server's stream */
	struct tls_peer *peer;     /* a client's stream: a reference; else NULL */
	struct identity *identity; /* of the peer's certificate, where it was looked at */
	const char *refusal;       /* why a callback of ours refused the handshake */
	char *error_text;
	enum io input_ended;  /* IO_DONE while it has not */
	unsigned key_updates; /* from the peer, since it last said anything else */
	bool secured;         /* the handshake was done: OpenSSL forgets that when it fails later */
	bool failed, end_said;
	bool asked; /* a client's stream: the server asked for a certificate */
	int reason; /* OpenSSL's, of the failure; 0: none, or it came from elsewhere */
};

static inline struct tls_stream *tls_stream_of_ssl(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* Takes `ssl` over, which may be NULL; NULL with `err` when there is no memory. */
struct tls_stream *tls_stream_create(
	struct loop_ctx *ctx, struct socket *socket, SSL *ssl, struct err *err);

/* Keeps the text in the stream's memory; the text itself when there is none. */
const char *tls_stream_format(struct tls_stream *tls, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The network failed: if the server said before why it would not listen, OpenSSL's error says so. */
void tls_connect_hear_alert(struct tls_stream *tls);

#endif
