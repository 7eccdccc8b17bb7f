#include "session/steps/steps.h"

#include "tls/cert/identity.h"
#include "tls/tls_stream.h"
#include "wire/proxy_header.h"

/* Version 2 with every TLV; the identity's parts are bounded by what a certificate may hold. */
#define GREETING_MAX (16 * 1024)

static const struct sockaddr *told_source(const struct session *session)
{
	return session->source.any.sa_family == AF_UNIX ? NULL : &session->source.any;
}

/* Where the client thinks that it is: to a proxy in front of us it said so, else here. */
static const struct sockaddr *told_destination(
	const struct session *session, struct sockaddr_storage *local)
{
	socklen_t len = sizeof *local;
	if (session->told_destination.any.sa_family != AF_UNSPEC)
		return &session->told_destination.any;
	if (getsockname(socket_fd(&session->client_socket), (struct sockaddr *)local, &len) < 0 ||
		local->ss_family == AF_UNIX)
		return NULL;
	return (const struct sockaddr *)local;
}

static void tell_tls(const struct session *session, struct proxy_told *told)
{
	struct tls_facts facts;
	tls_stream_facts(session->client, &facts);
	told->tls = true;
	told->tls_version = facts.version;
	told->cipher = facts.cipher;
	told->client_cert = facts.identity != NULL;
	if (facts.identity)
		told->common_name = identity_first(facts.identity, IDENTITY_CN);
	told->alpn = session->hello->alpn;
}

static size_t encode(const struct session *session, enum proxy_out version, uint8_t *out)
{
	struct sockaddr_storage local;
	struct proxy_told told = {
		.source = told_source(session), .destination = told_destination(session, &local)};
	if (session->hello)
		told.authority = span_of_string(session->hello->sni);
	if (session->client != &session->client_plain)
		tell_tls(session, &told);
	return version == PROXY_OUT_V1 ? proxy_v1_encode(&told, out, GREETING_MAX)
				       : proxy_v2_encode(&told, out, GREETING_MAX);
}

/* A PROXY header, in front of everything. A new connection's send buffer has room for it. */
enum step_result step_send_proxy_header(struct session *session)
{
	enum proxy_out version = session->route->backend->proxy_protocol;
	if (version == PROXY_OUT_NONE)
		return STEP_NEXT;
	uint8_t *out = session->service->ctx.plain;
	struct buf buf = {.data = out, .size = GREETING_MAX};
	buf.end = encode(session, version, out);
	if (buf.end > 0 && stream_write(session->upstream, &buf) == IO_DONE)
		return STEP_NEXT;
	return refuse_politely(session, "upstream: did not take the PROXY header");
}
