#include "session/steps/preface.h"

#include "wire/proxy_header.h"

#include <string.h>

static enum probe probe_proxy(struct span peeked, size_t *want, const char **why)
{
	struct proxy_header header;
	switch (proxy_header_parse(peeked, &header)) {
	case PROXY_MORE:
		*want = header.want;
		return PROBE_MORE;
	case PROXY_NONE:
		*why = "it is missing";
		return PROBE_NO;
	case PROXY_WRONG:
		*why = header.error;
		return PROBE_NO;
	case PROXY_WHOLE:
		break;
	}
	return PROBE_YES;
}

static void adopt(union session_address *address, const struct sockaddr *told)
{
	if (told->sa_family == AF_INET)
		memcpy(&address->v4, told, sizeof address->v4);
	else
		memcpy(&address->v6, told, sizeof address->v6);
}

/* The address inside is the source from here on: for the log, the limits, and the backend. */
static enum step_result run_proxy(struct session *session, struct span peeked)
{
	struct proxy_header header;
	proxy_header_parse(peeked, &header);
	if (!header.local) {
		adopt(&session->source, &header.source.any);
		adopt(&session->told_destination, &header.destination.any);
	}
	ssize_t n = recv(
		socket_fd(&session->client_socket), session->service->ctx.plain, header.len, 0);
	if (n != (ssize_t)header.len)
		return session_end(session, "client reset before its hello");
	return STEP_NEXT;
}

const struct preface proxy_preface = {
	.name = "PROXY header",
	.most = PROXY_HEADER_MAX,
	.probe = probe_proxy,
	.run = run_proxy,
};
