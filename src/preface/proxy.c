/* The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): required where it is expected. */
#include "preface/preface.h"

#include "wire/proxy_header.h"

static void take_address(union talk_address *out, const struct sockaddr *from)
{
	if (from->sa_family == AF_INET)
		memcpy(&out->v4, from, sizeof out->v4);
	else
		memcpy(&out->v6, from, sizeof out->v6);
}

static enum talk refuse(struct talk_state *state, const char *error)
{
	state->error = error;
	return TALK_REFUSE;
}

static enum talk proxy_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct proxy_header header;
	(void)say;
	switch (proxy_header_parse(heard, &header)) {
	case PROXY_MORE:
		state->want = header.want;
		return TALK_MORE;
	case PROXY_NONE:
		return refuse(state, "it is missing");
	case PROXY_WRONG:
		return refuse(state, header.error);
	case PROXY_WHOLE:
		break;
	}
	*used = header.len;
	if (!header.local) {
		take_address(&state->source, &header.source.any);
		take_address(&state->destination, &header.destination.any);
	}
	return TALK_DONE;
}

extern const struct preface proxy_preface;
const struct preface proxy_preface = {
	.name = "proxy",
	.title = "PROXY header",
	.heard_max = PROXY_HEADER_MAX,
	.front = proxy_front,
};
