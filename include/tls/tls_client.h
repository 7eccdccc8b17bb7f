/*
 * How one kind of server is connected to: which CAs to trust, which certificate to show, from which
 * version on. A `tls_peer` is one such server under one name; it keeps the newest sessions that the
 * server gave, so that the next connection resumes. Sessions never cross servers, names or trust.
 */
#ifndef GATEHOUSE_TLS_TLS_CLIENT_H
#define GATEHOUSE_TLS_TLS_CLIENT_H

#include "tls/cert/credential.h"
#include "tls/cert/trust.h"
#include "tls/tls_conn.h"

#include <openssl/ssl.h>

struct tls_client_policy {
	struct credential *credential; /* NULL: none is shown */
	struct trust *trust;           /* NULL: the system's roots, or with pins none */
	struct pins pins;              /* without `trust` the only check of the server */
	uint16_t min_version;          /* 0x0303, 0x0304 */
	bool refuse_expired_crl;       /* of `trust`; else it is used as it is */
	bool unverified;               /* a health check: any certificate will do */
};

struct tls_client {
	atomic_uint refs;
	SSL_CTX *ssl_ctx;
	struct tls_client_policy policy; /* with references of its own */
	struct tls_pinning pinning;      /* of the policy, for OpenSSL's callback */
};

/* The caller has the only reference. */
struct tls_client *tls_client_create(const struct tls_client_policy *policy, struct err *err);
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client *client);

struct tls_peer;

/*
 * `name` is what its certificate must stand for: a host name, also sent as SNI, or an IP address. It is
 * brought into canonical form (wire/server_name), which tls_peer_name returns. NULL with `err` if it is
 * neither; under a policy that verifies nothing such a peer has no name ("") and is sent none.
 */
struct tls_peer *tls_peer_create(struct tls_client *client, const char *name, struct err *err);
struct tls_peer *tls_peer_ref(struct tls_peer *peer);
void tls_peer_unref(struct tls_peer *peer);

const char *tls_peer_name(const struct tls_peer *peer);
const struct tls_client_policy *tls_peer_policy(const struct tls_peer *peer);

/* An SSL ready to connect to the peer, with a session to resume when there is one; NULL: memory. */
SSL *tls_peer_ssl(struct tls_peer *peer);

/* Keeps a session for the next connection; takes the reference. */
void tls_peer_keep_session(struct tls_peer *peer, SSL_SESSION *session);

#endif
