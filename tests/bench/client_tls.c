#include "client_tls.h"

#include "names.h"
#include "sockets.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define CIPHER_1_2 "ECDHE-ECDSA-AES128-GCM-SHA256"
#define CIPHER_1_3 "TLS_AES_128_GCM_SHA256"

struct client_tls {
	struct client_tls_settings settings;
	SSL_CTX *context;
	SSL_SESSION *session; /* the first one, kept for resumption */
	uint64_t tickets;
};

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct client_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	tls->tickets++;
	if (!tls->settings.is_resuming || tls->session)
		return 0;
	tls->session = session;
	return 1;
}

static void pin_parameters(SSL_CTX *context, const struct client_tls_settings *settings)
{
	const char *algorithm = settings->is_rsa ? "RSA-PSS+SHA256" : "ECDSA+SHA256";
	int number = settings->version == CLIENT_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

	if (!SSL_CTX_set_min_proto_version(context, number) ||
		!SSL_CTX_set_max_proto_version(context, number) ||
		!SSL_CTX_set_cipher_list(context, CIPHER_1_2) ||
		!SSL_CTX_set_ciphersuites(context, CIPHER_1_3) ||
		!SSL_CTX_set1_groups_list(context, "X25519:P-256") ||
		!SSL_CTX_set1_sigalgs_list(context, algorithm))
		die("cannot pin the TLS parameters");
}

static void load_identity(SSL_CTX *context, const struct client_tls_settings *settings)
{
	if (!settings->certificate)
		return;
	if (SSL_CTX_use_certificate_chain_file(context, settings->certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(context, settings->key, SSL_FILETYPE_PEM) != 1)
		die("cannot load the client certificate");
}

struct client_tls *client_tls_create(const struct client_tls_settings *settings)
{
	struct client_tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		die("calloc");
	tls->settings = *settings;
	tls->context = SSL_CTX_new(TLS_client_method());
	if (!tls->context)
		die("SSL_CTX_new");
	pin_parameters(tls->context, settings);
	load_identity(tls->context, settings);
	SSL_CTX_set_options(tls->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(
		tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(
		tls->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls->context, on_new_session);
	SSL_CTX_set_app_data(tls->context, tls);
	return tls;
}

/* A copy each time: a session is spoilt for others once a newer ticket replaces it. */
static void offer_session(struct client_tls *tls, SSL *ssl)
{
	SSL_SESSION *session = SSL_SESSION_dup(tls->session);

	if (!session || !SSL_set_session(ssl, session))
		die("cannot offer the session");
	SSL_SESSION_free(session);
	SSL_set_app_data(ssl, tls); /* marks that it was offered */
}

SSL *client_tls_open(struct client_tls *tls, int fd, uint32_t number)
{
	unsigned char name[NAME_MAX_LENGTH + 1] = {0};
	SSL *ssl = SSL_new(tls->context);

	name_write(tls->settings.name_pattern, number, name);
	if (!ssl || !SSL_set_fd(ssl, fd) || !SSL_set_tlsext_host_name(ssl, (char *)name))
		die("SSL_new");
	SSL_set_connect_state(ssl);
	if (tls->session)
		offer_session(tls, ssl);
	return ssl;
}

static bool is_x25519(SSL *ssl)
{
	EVP_PKEY *key = NULL;

	if (!SSL_get_peer_tmp_key(ssl, &key))
		return false;
	bool answer = EVP_PKEY_is_a(key, "X25519");
	EVP_PKEY_free(key);
	return answer;
}

static bool is_expected_certificate(const struct client_tls *tls, SSL *ssl)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;

	if (tls->settings.is_rsa)
		return key && EVP_PKEY_is_a(key, "RSA");
	return key && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 256;
}

const char *client_tls_complaint(const struct client_tls *tls, SSL *ssl)
{
	bool is_1_3 = tls->settings.version == CLIENT_TLS_1_3;
	bool is_resumed = SSL_session_reused(ssl);
	const char *cipher = SSL_get_cipher_name(ssl);

	if (SSL_version(ssl) != (is_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION))
		return "another protocol version was negotiated";
	if (strcmp(cipher, is_1_3 ? CIPHER_1_3 : CIPHER_1_2) != 0)
		return "another cipher was negotiated";
	if ((is_1_3 || !is_resumed) && !is_x25519(ssl))
		return "another curve than X25519 was negotiated";
	if (!is_resumed && !is_expected_certificate(tls, ssl))
		return "the server's key is not of the wanted type";
	if (is_resumed != (SSL_get_app_data(ssl) != NULL))
		return is_resumed ? "resumed without being asked" : "the session was not resumed";
	return NULL;
}

uint64_t client_tls_tickets(const struct client_tls *tls)
{
	return tls->tickets;
}

bool client_tls_has_session(const struct client_tls *tls)
{
	return tls->session != NULL;
}

/* Without a shutdown SSL_free marks the session unusable, for all who share it. */
void client_tls_close(SSL *ssl)
{
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
}
