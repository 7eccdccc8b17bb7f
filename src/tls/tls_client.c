#include "tls/tls_client.h"

#include "net/address.h"
#include "tls/cert/ossl_error.h"
#include "tls/tls_conn.h"
#include "wire/server_name.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A TLS 1.3 ticket is to be used once: a few are kept, the newest is used first. */
#define SESSIONS_KEPT 4

struct tls_peer {
	atomic_uint refs;
	struct tls_client *client;
	pthread_mutex_t lock;
	SSL_SESSION *sessions[SESSIONS_KEPT];
	unsigned session_count;
	enum peer_name { PEER_HOST, PEER_ADDRESS, PEER_UNNAMED } kind;
	char name[];
};

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_peer *peer = tls_conn_of(ssl)->peer;
	if (!peer)
		return 0;
	tls_peer_keep_session(peer, session);
	return 1;
}

static bool client_configure(struct tls_client *client)
{
	const struct tls_client_policy *policy = &client->policy;
	SSL_CTX *ctx = client->ssl_ctx;
	/* A TLS 1.2 server that requests one and does not continue would block every write on a read. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, policy->unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
		tls_conn_on_verify_server);
	SSL_CTX_set_session_cache_mode(
		ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, on_new_session);
	SSL_CTX_set_cert_cb(ctx, tls_conn_on_certificate_request, NULL);
	if (policy->pins.count > 0)
		SSL_CTX_set_cert_verify_callback(
			ctx, tls_conn_on_pinned, (void *)(uintptr_t)&client->pinning);
	if (policy->trust)
		SSL_CTX_set1_verify_cert_store(ctx, policy->trust->store);
	else if (SSL_CTX_set_default_verify_paths(ctx) != 1)
		return false;
	if (policy->trust)
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), trust_flags(policy->trust));
	/* A health check accepts what the server's own clients may have agreed on with it. */
	if (!policy->unverified && SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) != 1)
		return false;
	const struct credential *credential = policy->credential;
	if (credential && !credential_use(credential, ctx))
		return false;
	return SSL_CTX_set_min_proto_version(ctx, policy->min_version) == 1 &&
		SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1;
}

struct tls_client *tls_client_create(const struct tls_client_policy *policy, struct err *err)
{
	struct tls_client *client = calloc(1, sizeof *client);
	if (!client) {
		err_no_memory(err);
		return NULL;
	}
	client->refs = 1;
	client->policy = *policy;
	client->pinning = (struct tls_pinning){policy->pins, policy->trust == NULL};
	if (policy->credential)
		credential_ref(policy->credential);
	if (policy->trust)
		trust_ref(policy->trust);
	ERR_clear_error();
	client->ssl_ctx = SSL_CTX_new(TLS_client_method());
	if (client->ssl_ctx && client_configure(client))
		return client;
	err_set(err, "OpenSSL refuses it: %s", ossl_error_take());
	tls_client_unref(client);
	return NULL;
}

struct tls_client *tls_client_ref(struct tls_client *client)
{
	atomic_fetch_add(&client->refs, 1);
	return client;
}

void tls_client_unref(struct tls_client *client)
{
	if (!client || atomic_fetch_sub(&client->refs, 1) > 1)
		return;
	SSL_CTX_free(client->ssl_ctx);
	credential_unref(client->policy.credential);
	trust_unref(client->policy.trust);
	free(client);
}

/*
 * In canonical form: without the zone of a link-local address, or as server names are (RFC 6066
 * section 3: no trailing dot). Never longer than it was.
 */
static bool peer_set_name(struct tls_peer *peer, const char *name, struct err *err)
{
	struct server_name host;
	peer->kind = PEER_ADDRESS;
	memcpy(peer->name, name, strcspn(name, "%"));
	if (address_is_ip(peer->name))
		return true;
	const char *wrong = server_name_parse(span_of_string(name), &host);
	peer->kind = wrong ? PEER_UNNAMED : PEER_HOST;
	memcpy(peer->name, host.text, host.len + 1u);
	if (wrong)
		err_set(err, "the name \"%s\" %s", name, wrong);
	return !wrong || peer->client->policy.unverified;
}

struct tls_peer *tls_peer_create(struct tls_client *client, const char *name, struct err *err)
{
	struct tls_peer *peer = calloc(1, sizeof *peer + strlen(name) + 1);
	if (!peer) {
		err_no_memory(err);
		return NULL;
	}
	peer->refs = 1;
	peer->client = tls_client_ref(client);
	pthread_mutex_init(&peer->lock, NULL);
	if (peer_set_name(peer, name, err))
		return peer;
	tls_peer_unref(peer);
	return NULL;
}

struct tls_peer *tls_peer_ref(struct tls_peer *peer)
{
	atomic_fetch_add(&peer->refs, 1);
	return peer;
}

void tls_peer_unref(struct tls_peer *peer)
{
	if (!peer || atomic_fetch_sub(&peer->refs, 1) > 1)
		return;
	for (unsigned i = 0; i < peer->session_count; i++)
		SSL_SESSION_free(peer->sessions[i]);
	pthread_mutex_destroy(&peer->lock);
	tls_client_unref(peer->client);
	free(peer);
}

const char *tls_peer_name(const struct tls_peer *peer)
{
	return peer->name;
}

const struct tls_client_policy *tls_peer_policy(const struct tls_peer *peer)
{
	return &peer->client->policy;
}

/* Before TLS 1.3 a session may be used again and again, and the server gives no other meanwhile. */
static bool is_reusable(const SSL_SESSION *session)
{
	return SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION;
}

static SSL_SESSION *peer_take_session(struct tls_peer *peer)
{
	SSL_SESSION *session = NULL;
	pthread_mutex_lock(&peer->lock);
	if (peer->session_count > 0)
		session = peer->sessions[peer->session_count - 1];
	if (session && is_reusable(session))
		SSL_SESSION_up_ref(session);
	else if (session)
		peer->session_count--;
	pthread_mutex_unlock(&peer->lock);
	return session;
}

void tls_peer_keep_session(struct tls_peer *peer, SSL_SESSION *session)
{
	SSL_SESSION *oldest = NULL;
	pthread_mutex_lock(&peer->lock);
	if (peer->session_count == SESSIONS_KEPT) {
		oldest = peer->sessions[0];
		memmove(peer->sessions, peer->sessions + 1,
			(SESSIONS_KEPT - 1) * sizeof *peer->sessions);
		peer->session_count--;
	}
	peer->sessions[peer->session_count++] = session;
	pthread_mutex_unlock(&peer->lock);
	SSL_SESSION_free(oldest);
}

static bool peer_expect_name(SSL *ssl, const struct tls_peer *peer)
{
	switch (peer->kind) {
	case PEER_ADDRESS:
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), peer->name) == 1;
	case PEER_HOST:
		/* A common name is no host name (RFC 6125 section 6.4.4, RFC 9525 section 2). */
		SSL_set_hostflags(ssl,
			X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
		return SSL_set1_host(ssl, peer->name) == 1 &&
			SSL_set_tlsext_host_name(ssl, peer->name) == 1;
	case PEER_UNNAMED:
		break;
	}
	return true;
}

/* A resumed session skips the verification: a certificate that has expired since does not resume. */
static void peer_resume(SSL *ssl, struct tls_peer *peer)
{
	SSL_SESSION *session = peer_take_session(peer);
	X509 *leaf = session ? SSL_SESSION_get0_peer(session) : NULL;
	if (leaf && X509_cmp_current_time(X509_get0_notAfter(leaf)) > 0)
		SSL_set_session(ssl, session);
	SSL_SESSION_free(session);
}

SSL *tls_peer_ssl(struct tls_peer *peer)
{
	SSL *ssl = SSL_new(peer->client->ssl_ctx);
	if (ssl && peer_expect_name(ssl, peer)) {
		peer_resume(ssl, peer);
		SSL_set_connect_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	return NULL;
}
