/* A gateway that may be dialled: whom to believe there, what to show, under which name. */
#ifndef GATEHOUSE_CLIENT_GATEWAY_H
#define GATEHOUSE_CLIENT_GATEWAY_H

#include "client/settings.h"
#include "tls/tls_client.h"

#define GATEWAY_ALPN_MAX 1024

struct gateway {
	const struct client_settings *settings; /* lent */
	struct credential *credential;          /* NULL: none is shown */
	struct trust *trust;
	struct tls_client *client;
	struct tls_peer *peer;
	uint8_t alpn[GATEWAY_ALPN_MAX]; /* the list in wire form */
	size_t alpn_len;
};

/* Loads everything; false with `err`. Warns on stderr of keys that others can read. */
bool gateway_open(struct gateway *gateway, const struct client_settings *settings, struct err *err);
void gateway_close(struct gateway *gateway);

/* Before another connection: a certificate that was renewed on disk since is read anew. What cannot
 * be read leaves things as they were, and false. */
bool gateway_refresh(struct gateway *gateway, struct err *err);

#endif
