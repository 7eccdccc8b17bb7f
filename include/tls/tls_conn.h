/*
 * One TLS connection as OpenSSL's callbacks see it: what it is held to, and what they found out. It is the
 * application data of its SSL, and a member of the stream (tls/tls_stream).
 *
 * Verification and admission happen inside the handshake, so that a refusal is a TLS alert.
 */
#ifndef GATEHOUSE_TLS_TLS_CONN_H
#define GATEHOUSE_TLS_TLS_CONN_H

#include "tls/cert/identity.h"
#include "tls/cert/pin.h"
#include "tls/tickets.h"
#include "tls/tls_policy.h"

#include <openssl/ssl.h>

struct tls_context;
struct tls_peer;

/* Called once a client's certificate is verified; false refuses it, and `why` says so in the log. */
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

struct tls_conn {
	SSL *ssl;
	struct tls_accept accept;        /* a server's */
	const struct tls_policy *policy; /* a server's: of accept.context */
	struct tls_peer *peer;           /* a client's: a reference; else NULL */
	const char *peer_name;           /* a client's: what the certificate must stand for */
	bool refuse_expired_crl;         /* a client's; a server's is in its policy */
	struct identity *identity; /* of the peer's certificate, where it was looked at; owned */
	const char *refusal;       /* why a callback refused the handshake */
	char *text;                /* words of its own, for `refusal`; owned */
	bool is_asked;             /* a client's: the server requested a certificate */
};

static inline struct tls_conn *tls_conn_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* Keeps the text in the connection's memory; the format itself when there is none. */
const char *tls_conn_format(struct tls_conn *conn, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Frees what it owns, the SSL included. */
void tls_conn_finish(struct tls_conn *conn);

/* OpenSSL's callbacks of a server's context... */
int tls_conn_on_server_name(SSL *ssl, int *alert, void *unused);
int tls_conn_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *unused);
int tls_conn_on_verify_client(int ok, X509_STORE_CTX *store);

/* ... and of a client's; the argument of the last one is a `struct tls_pinning`. */
struct tls_pinning {
	struct pins pins;
	bool is_all; /* nothing else is asked of the server's certificate */
};
int tls_conn_on_verify_server(int ok, X509_STORE_CTX *store);
int tls_conn_on_certificate_request(SSL *ssl, void *unused);
int tls_conn_on_pinned(X509_STORE_CTX *store, void *pinning);

#endif
