/*
 * A TLS connection as a stream, over a socket whose first bytes were only peeked. Records are read
 * and sent in batches: one recv opens many, one send carries many. Nothing but OpenSSL's own state
 * is kept for a connection at rest.
 *
 * Verification and admission happen inside the handshake, so that a refusal is a TLS alert.
 */
#ifndef GATEHOUSE_TLS_TLS_STREAM_H
#define GATEHOUSE_TLS_TLS_STREAM_H

#include "net/loop_ctx.h"
#include "net/stream.h"
#include "tls/tls_client.h"
#include "tls/tls_context.h"

struct identity;

/* Asked once a client's certificate is verified; false refuses it, and `why` says so in the log. */
typedef bool tls_admit_fn(void *owner, const struct identity *identity, const char **why);

/* What one accepted connection is held to. Lent for the life of the stream. */
struct tls_accept {
	struct tls_context *context;
	const char *name; /* canonical, what was routed: OpenSSL must see the same; "": none */
	struct span alpn; /* the one id to agree on; empty: no ALPN */
	struct ticket_binding binding;
	tls_admit_fn *admit; /* NULL: every verified certificate */
	void *owner;
};

/* NULL with `err` when there is no memory. */
struct stream *tls_accept_stream(struct loop_ctx *ctx, struct socket *socket,
	const struct tls_accept *accept, struct err *err);

/*
 * The other way round: a TLS client's stream to that peer, which it takes a reference of. `alpn` is
 * the list to offer, in wire form (a length byte before each id), possibly empty; copied. A server
 * that fails verification fails the handshake, and `error` says what its certificate says.
 */
struct stream *tls_connect_stream(struct loop_ctx *ctx, struct socket *socket,
	struct tls_peer *peer, struct span alpn, struct err *err);

/* Of a finished handshake, for the log. Static, or lent by the stream. */
struct tls_facts {
	const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
	bool resumed;
	struct span alpn;                /* what was agreed on */
	const struct identity *identity; /* NULL: no certificate was shown */
};
void tls_stream_facts(const struct stream *stream, struct tls_facts *out);

/*
 * Would the certificate that this client showed be believed under that policy, today? NULL, or why
 * not, in words. For a stream with an identity; `context` asks for certificates.
 */
const char *tls_stream_revalidate(struct stream *stream, struct tls_context *context);

/* OpenSSL's callbacks, for tls_context and tls_client. */
const struct ticket_binding *tls_stream_binding(SSL *ssl);
int tls_stream_on_server_name(SSL *ssl, int *alert, void *unused);
int tls_stream_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *unused);
int tls_stream_on_verify(int ok, X509_STORE_CTX *store);
struct tls_peer *tls_stream_peer(SSL *ssl);
int tls_connect_on_asked(SSL *ssl, void *unused);
int tls_connect_on_pinned(X509_STORE_CTX *store, void *policy);
int tls_stream_on_verify_server(int ok, X509_STORE_CTX *store);

#endif
