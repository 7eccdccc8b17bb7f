#include "session/session.h"

const struct identity *session_client_identity(const struct session *session)
{
	struct stream_facts facts;
	stream_facts(session->client, &facts);
	return facts.identity;
}

void session_source_text(const struct session *session, char out[ADDRESS_TEXT_MAX])
{
	socklen_t len = sizeof session->source.v6;
	if (session->source.any.sa_family == AF_INET)
		len = sizeof session->source.v4;
	else if (session->source.any.sa_family == AF_UNIX)
		len = sizeof(sa_family_t);
	address_text(&session->source.any, len, out);
}

const char *session_upstream_text(const struct session *session)
{
	if (session->upstream_text || session->server < 0)
		return session->upstream_text;
	return session->route->backend->servers[session->server].text;
}
