#include "session/steps/steps.h"

#include "tls/cert/identity.h"
#include "wire/proxy_header.h"

static const struct sockaddr *source_for_header(const struct session *session)
{
	return session->source.any.sa_family == AF_UNIX ? NULL : &session->source.any;
}

/* Where the client connected to: to a proxy in front of us, which said so, else to us. */
static const struct sockaddr *destination_for_header(
	const struct session *session, struct address *local)
{
	if (session->told_destination.any.sa_family != AF_UNSPEC)
		return &session->told_destination.any;
	if (!stream_local(session->client, local) || local->any.sa_family == AF_UNIX)
		return NULL;
	return &local->any;
}

static void add_tls(const struct session *session, struct proxy_info *told)
{
	struct stream_facts facts;
	stream_facts(session->client, &facts);
	if (!facts.tls_version)
		return;
	told->tls = true;
	told->tls_version = facts.tls_version;
	told->cipher = facts.cipher;
	told->client_cert = facts.identity != NULL;
	if (facts.identity)
		told->common_name = identity_first(facts.identity, IDENTITY_CN);
	told->alpn = session->hello->alpn;
}

size_t write_proxy_header(void *owner, uint8_t *out, size_t size)
{
	const struct session *session = owner;
	struct address local;
	struct proxy_info told = {.source = source_for_header(session),
		.destination = destination_for_header(session, &local)};
	if (session->hello)
		told.authority = span_of_string(session->hello->sni);
	add_tls(session, &told);
	return session->route->backend->proxy_protocol == PROXY_OUT_V1
		? proxy_v1_encode(&told, out, size)
		: proxy_v2_encode(&told, out, size);
}
