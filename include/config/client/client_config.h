/*
 * The settings of the companion client: client.json. Like gatehouse.json it is read whole and
 * strictly, with file, line and path in every error:
 *
 *     {
 *         "defaults": { "ca": "company-ca.pem", "cert": "~/keys/me.crt", "key": "~/keys/me.key" },
 *         "gateways": {
 *             "*.prod.example.com": { "gateway": "gw.example.com:443", "alpn": "ssh" },
 *             "orders-db": { "gateway": "gw.example.com", "sni": "orders.db.example.com" }
 *         }
 *     }
 *
 * A gateway's key is a name, "*.name" (at any depth; the longest wins) or "*". The user's file goes
 * before the system's: a name is first looked for in the one, then in the other.
 */
#ifndef GATEHOUSE_CONFIG_CLIENT_CLIENT_CONFIG_H
#define GATEHOUSE_CONFIG_CLIENT_CLIENT_CONFIG_H

#include "base/arena.h"
#include "base/report.h"
#include "config/config.h"

#define CLIENT_UNSAID UINT64_MAX

/* Settings of a gateway, from one source. All that is zero, or CLIENT_UNSAID, is not set. */
struct client_config {
	const char *gateway; /* "host", "host:port", "unix:/path" */
	const char *sni;     /* a name, or an IP address that is verified and not sent */
	struct strings alpn; /* decoded */
	const char *cert, *key, *passphrase_file; /* files, the first two also "pkcs11:" URIs */
	struct strings ca;                        /* files or directories */
	struct strings crl;                       /* files; only with `ca` */
	enum { EXPIRED_CRL_UNSAID, EXPIRED_CRL_WARN, EXPIRED_CRL_REFUSE } expired_crl;
	struct strings pin; /* as pins_add takes them */
	uint16_t min_version;
	int family; /* AF_INET, AF_INET6 */
	uint64_t connect_timeout_ms, keepalive_ms;
};

extern const struct client_config client_config_nothing;

/* Lays what `over` says over `config`. A certificate and its key are one: they replace both. */
void client_config_overlay(struct client_config *config, const struct client_config *over);

/* What the files say of one name. */
struct client_lookup {
	struct arena *arena;                 /* where the values live */
	const char *name;                    /* as the user typed it; any text */
	const char *system_path, *user_path; /* NULL: not to be read; one that is absent is fine */
	struct client_config defaults, gateway; /* out; what the flags go over, in this order */
	const char *matched, *matched_in;       /* out: the key that it is, and its file; or NULL */
};

/* False after errors, all of them in `report`. */
bool client_config_look_up(struct client_lookup *lookup, struct report *report);

#endif
