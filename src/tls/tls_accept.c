#include "tls/tls_stream_inside.h"

#include "tls/cert/identity.h"
#include "tls/verify_client.h"

#include <openssl/x509v3.h>

static SSL *new_ssl(struct tls_context *context)
{
	SSL_CTX *ssl_ctx = tls_context_ssl(context);
	return ssl_ctx ? SSL_new(ssl_ctx) : NULL;
}

struct stream *tls_accept_stream(struct loop_ctx *ctx, struct socket *socket,
	const struct tls_accept *accept, struct err *err)
{
	struct tls_stream *tls = tls_stream_create(ctx, socket, new_ssl(accept->context), err);
	if (!tls)
		return NULL;
	tls->accept = *accept;
	SSL_set_session_id_context(tls->ssl, accept->binding.bytes, sizeof accept->binding.bytes);
	SSL_set_accept_state(tls->ssl);
	return &tls->stream;
}

const struct ticket_binding *tls_stream_binding(SSL *ssl)
{
	return &tls_stream_of_ssl(ssl)->accept.binding;
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
	struct tls_stream *tls = tls_stream_of_ssl(ssl);
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
	struct tls_stream *tls = tls_stream_of_ssl(ssl);
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

const char *tls_stream_revalidate(struct stream *stream, struct tls_context *context)
{
	const struct tls_stream *tls = (const struct tls_stream *)stream;
	return tls_verify_client(
		context, SSL_get0_peer_certificate(tls->ssl), SSL_get_peer_cert_chain(tls->ssl));
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
	struct tls_stream *tls = tls_stream_of_ssl(ssl);
	int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
	if (!tls->identity)
		tls->identity = identity_of(X509_STORE_CTX_get0_cert(store));
	if (!ok && tls_verify_forgives(&tls->accept.context->policy, error, depth)) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	if (!ok) {
		tls->refusal = tls_stream_format(
			tls, "client certificate: %s", X509_verify_cert_error_string(error));
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
