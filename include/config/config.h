/*
 * The configuration file as plain data (config_read makes it). Every path is absolute, relative to
 * the file that names it.
 */
#ifndef GATEHOUSE_CONFIG_CONFIG_H
#define GATEHOUSE_CONFIG_CONFIG_H

#include "base/bytes.h"
#include "base/log.h"
#include "config/read/strings.h"
#include "preface/preface.h"
#include "wire/cidr.h"
#include "wire/server_name.h"

enum route_mode { MODE_TERMINATE, MODE_PASSTHROUGH };
enum client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };
enum balance { BALANCE_LEAST_CONNECTIONS, BALANCE_ROUND_ROBIN, BALANCE_SOURCE };
enum proxy_out { PROXY_OUT_NONE, PROXY_OUT_V1, PROXY_OUT_V2 };
enum health_kind { HEALTH_NONE, HEALTH_TCP, HEALTH_TLS };

struct server_config {
	const char
		*address; /* "host:port" (port present and 1..65535, "[::1]:443") or "unix:/path" */
	bool backup;
};

/* One server's TLS: a backend's, or a forward's target. */
struct client_tls_config {
	const char *server_name; /* NULL: the host part of the address; may be an IP address */
	struct strings ca;       /* files or directories; empty: the system's roots */
	struct strings crl;      /* files; only with `ca` */
	const char *cert, *key;  /* both or neither */
	uint16_t min_version;    /* 0x0303 or 0x0304 */
	bool refuse_expired_crl; /* of `crl`; else it is used as it is */
};

struct backend_config {
	struct server_config *servers;
	size_t count;
	enum balance balance;
	enum proxy_out proxy_protocol;
	const struct preface *starttls; /* how TLS is asked for; NULL: it begins at once */
	bool has_tls;
	struct client_tls_config tls;
	enum health_kind health;
	uint64_t health_interval_ms, health_timeout_ms;
	unsigned health_rise, health_fall;
};

struct acl_config {
	struct strings allow_cn, allow_org, allow_ou, allow_dns, allow_uri, allow_email;
	struct strings allow_fingerprint; /* 64 lower-case hex digits each */
};

struct place; /* where in which file a route stands */

/* What a host, or one "alpn" entry laid over its host, says. */
struct route_config {
	const struct place *place;
	enum route_mode mode;
	struct strings cert, key; /* as many of each; terminate only, there at least one */
	uint16_t min_version;     /* 0x0303 (the default) or 0x0304 */
	enum client_auth client_auth;
	struct strings ca, crl;  /* ca: at least one where client_auth is not none */
	bool refuse_expired_crl; /* "expired_crl": "refuse"; the default "warn" */
	unsigned
		verify_depth; /* 1..10, default 4: certificates between the client's and the root */
	struct acl_config acl;
	struct strings offer_alpn;
	bool has_backend;
	struct backend_config backend;
	unsigned max_connections; /* 0: no limit */
	bool revalidate;
};

struct alpn_config {
	struct span id; /* 1..255 bytes; the key is written as RFC 7639 has it: "%" and two hex
			   digits */
	struct route_config route;
};

struct host_config {
	const char *name; /* canonical: "app.example.com", "*.example.com", "*" */
	/* Of the tokens of its text and the directory of its file: equal meaning, equal digest,
	 * whatever the layout. */
	uint64_t digest;
	const char *file; /* as messages name it; valid until config_read returns */
	unsigned line;
	/* The host itself is a route. False: only its "alpn" entries are; `route` then holds
	 * what they inherit, and its mode means nothing. */
	bool has_route;
	struct route_config route;
	struct alpn_config *alpn; /* in the order of the file */
	size_t alpn_count;
};

/* A backend of "plaintext". */
struct plaintext_backend {
	const char *where; /* `config.json:3: listen[0].plaintext.ssh`; NULL: there is none */
	struct backend_config config;
};

/* "plaintext" of a listener: what is not TLS. */
struct plaintext_config {
	bool redirects_http; /* "http": "redirect"; `http` has none then */
	struct plaintext_backend http, ssh;
	uint64_t
		ssh_silence_ms; /* a client that says nothing for so long is taken for ssh; 0: none is */
};

struct listener_config {
	const char *where;   /* `config.json:3: listen[0]`, for messages */
	const char *address; /* ":443" "0.0.0.0:443" "[::1]:443" "unix:/path" "fd:NAME" */
	struct network *accept_proxy;
	size_t accept_proxy_count;
	/*
	 * "starttls": how clients ask for TLS, as a list that ends in NULL; NULL: they begin with
	 * it.
	 */
	const struct preface *const *prefaces;
	const struct server_name *host; /* all clients are for it; NULL: none is set */
	const struct server_name
		*default_host; /* clients that send no name are; NULL: none is set */
	struct strings hosts;  /* keys of `hosts`: only these are served; empty: all */
	bool names_hosts;      /* one of these three is set */
	bool forwards_cancel;  /* "cancel": "forward" */
	const struct plaintext_config *plaintext; /* NULL: what is not TLS is closed */
};

struct forward_config {
	const char *where; /* `config.json:40: forwards[0]` */
	struct listener_config *listeners;
	size_t listener_count;
	struct backend_config target; /* its `tls` filled in from the forward's own fields */
	struct strings alpn;
	unsigned max_connections;
};

struct admin_config {
	bool enabled;
	const char *where, *listen; /* "host:port" or "unix:/path" */
	struct strings hosts;       /* what a Host header may name too; no final dot */
};

struct config {
	struct listener_config *listeners; /* at least one, unless there are forwards */
	size_t listener_count;
	unsigned workers; /* 0: auto; at most 1024 */
	const char *user; /* NULL: the user that started us */
	bool sandbox;     /* give up what is not needed while it runs; the default */
	struct {
		/* 0 is off */
		uint64_t hello_timeout_ms, handshake_timeout_ms, dial_timeout_ms, idle_timeout_ms,
			drain_timeout_ms;
		/* 0: no limit */
		unsigned max_connections, max_per_source,
			rate_per_source;                 /* the last: new ones a second */
		unsigned max_handshakes, handshake_rate; /* of clients; 0: no limit */
		unsigned min_rate; /* bytes a second, of bytes that wait; 0: no limit */
	} proxy;
	struct forward_config *forwards;
	size_t forward_count;
	struct admin_config health, metrics;
	const char *control_socket; /* NULL: none */
	struct {
		enum log_level level;
		bool json;
	} logging;
	size_t host_count;
	struct strings
		files; /* the configuration and every file it included, in order of reading */
	struct strings include_patterns;
	uint64_t digest; /* of all bytes read */
};

/* Receives one host; `host` and all that it points to are valid during the call. */
typedef void config_host_fn(void *owner, const struct host_config *host);

#endif
