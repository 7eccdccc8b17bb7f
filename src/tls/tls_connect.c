#include "tls/tls_connect.h"

#include "tls/tls_stream.h"

static SSL *ssl_of_peer(struct tls_peer *peer, struct span alpn)
{
	SSL *ssl = tls_peer_ssl(peer);
	if (!ssl || alpn.len == 0 || SSL_set_alpn_protos(ssl, alpn.data, (unsigned)alpn.len) == 0)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

struct stream *tls_connect_stream(struct loop_ctx *ctx, struct stream *lower, struct tls_peer *peer,
	struct span alpn, struct err *err)
{
	struct tls_stream *tls = tls_stream_create(ctx, lower, ssl_of_peer(peer, alpn), err);
	if (!tls)
		return NULL;
	tls->conn.peer = tls_peer_ref(peer);
	tls->conn.peer_name = tls_peer_name(peer);
	tls->conn.refuse_expired_crl = tls_peer_policy(peer)->refuse_expired_crl;
	return &tls->stream;
}
