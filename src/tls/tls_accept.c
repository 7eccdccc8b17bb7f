#include "tls/tls_accept.h"

#include "tls/tls_stream.h"
#include "tls/verify_client.h"

static SSL *ssl_of_context(struct tls_context *context)
{
	SSL_CTX *ssl_ctx = tls_context_ssl(context);
	return ssl_ctx ? SSL_new(ssl_ctx) : NULL;
}

struct stream *tls_accept_stream(struct loop_ctx *ctx, struct stream *lower,
	const struct tls_accept *accept, struct err *err)
{
	struct tls_stream *tls =
		tls_stream_create(ctx, lower, ssl_of_context(accept->context), err);
	if (!tls)
		return NULL;
	tls->conn.accept = *accept;
	tls->conn.policy = &accept->context->policy;
	SSL_set_session_id_context(
		tls->conn.ssl, accept->binding.bytes, sizeof accept->binding.bytes);
	SSL_set_accept_state(tls->conn.ssl);
	return &tls->stream;
}

const char *tls_accept_revalidate(struct stream *stream, struct tls_context *context)
{
	SSL *ssl = tls_stream_of(stream)->conn.ssl;
	return tls_verify_client(
		context, SSL_get0_peer_certificate(ssl), SSL_get_peer_cert_chain(ssl));
}
