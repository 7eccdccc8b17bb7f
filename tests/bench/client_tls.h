/*
 * The TLS side of the load client. It offers one protocol version, one cipher and one curve, so
 * that every server does the same work, and asserts on each connection that this is what was
 * negotiated.
 */
#ifndef BENCH_CLIENT_TLS_H
#define BENCH_CLIENT_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum client_tls_version { CLIENT_TLS_1_2, CLIENT_TLS_1_3 };

struct client_tls_settings {
	enum client_tls_version version;
	bool is_resuming;
	bool is_rsa; /* the server's key, instead of ECDSA P-256: dear to the server alone */
	const char *certificate, *key; /* NULL: none */
	const char *name_pattern;      /* names.h */
};

struct client_tls;

struct client_tls *client_tls_create(const struct client_tls_settings *settings);

/* A client SSL on the connected socket, ready for SSL_do_handshake. */
SSL *client_tls_open(struct client_tls *tls, int fd, uint32_t number);

/* NULL, or what is wrong with the finished handshake. */
const char *client_tls_complaint(const struct client_tls *tls, SSL *ssl);

/* New sessions (tickets) that servers have sent so far, on all connections. */
uint64_t client_tls_tickets(const struct client_tls *tls);

/* When resuming: true as soon as a first connection has brought a session. */
bool client_tls_has_session(const struct client_tls *tls);

void client_tls_close(SSL *ssl);

#endif
