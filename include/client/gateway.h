/* Everything needed to connect to a gateway: credential, trust, server name, protocols. */
#ifndef GATEHOUSE_CLIENT_GATEWAY_H
#define GATEHOUSE_CLIENT_GATEWAY_H

#include "client/settings.h"
#include "tls/tls_client.h"

#define GATEWAY_ALPN_MAX 1024

struct gateway {
	const struct client_settings *settings; /* borrowed */
	struct credential *credential;          /* NULL: no client certificate */
	struct trust *trust;
	struct tls_client *client;
	struct tls_peer *peer;
	uint8_t alpn[GATEWAY_ALPN_MAX]; /* the list in wire form */
	size_t alpn_len;
};

/* Loads everything; false with `err`. Warns on stderr about a key that other users can read. */
bool gateway_open(struct gateway *gateway, const struct client_settings *settings, struct err *err);
void gateway_close(struct gateway *gateway);

/*
 * Before another connection: if a certificate, CA or revocation list has changed on disk, all are read
 * again. False with `err`, and nothing changes, when one cannot be read.
 */
bool gateway_refresh(struct gateway *gateway, struct err *err);

#endif
