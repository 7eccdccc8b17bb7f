/*
 * Where a route's connections go: one server or several to choose from. What is learned about a
 * server (how many connections it has, whether it answers) is shared by all workers, by all routes
 * that name it, and by snapshots before and after a reload.
 */
#ifndef GATEHOUSE_UPSTREAM_BACKEND_H
#define GATEHOUSE_UPSTREAM_BACKEND_H

#include "base/arena.h"
#include "config/config.h"
#include "net/address.h"
#include "tls/tls_client.h"

#include <stdatomic.h>

/* What is known of one server that is one of several. */
struct server_state {
	atomic_uint refs;
	atomic_uint active;       /* connections now */
	atomic_uint failures;     /* in a row: dials refused or timed out */
	atomic_ullong down_until; /* clock_now_us: not chosen before, unless nothing else is left */
	atomic_bool unhealthy;    /* by its health check */
	const char *text;         /* behind it, in the same block */
};

struct server {
	const char *text; /* "127.0.0.1:8080" "db.internal:5432" "unix:/run/app.sock" */
	bool backup;
	atomic_bool drained;        /* by the administrator: not chosen */
	struct server_state *state; /* NULL where there is no choice */
	struct tls_peer *tls;       /* NULL: plain; a reference */
	struct tls_peer *tls_check; /* for health checks of type "tls"; NULL: not asked for */
};

struct health_settings {
	enum health_kind kind; /* HEALTH_NONE: not checked */
	uint64_t interval_ms, timeout_ms;
	unsigned rise, fall;
};

struct backend {
	struct server *servers;
	unsigned count;
	enum balance balance;
	enum proxy_out proxy_protocol;
	const struct preface
		*starttls;  /* how its servers are asked for TLS; NULL: it begins at once */
	bool is_behind_tls; /* a host that has it terminates TLS */
	struct health_settings health;
	atomic_uint turn; /* of round robin */
};

/* The servers known to the process. Created once; used while loading, under a lock of its own. */
struct servers;
struct servers *servers_create(void);
void servers_destroy(struct servers *servers);

/* What is known under a name: a server's address, or that of a route that has a limit. NULL: memory. */
struct server_state *server_state_ref(struct servers *servers, const char *text);
void server_state_unref(struct servers *servers, struct server_state *state);

/* In the arena, with references on its servers' states; backend_finish gives them back. NULL: memory. */
struct backend *backend_create(
	struct arena *arena, struct servers *servers, const struct backend_config *config);
void backend_finish(struct backend *backend, struct servers *servers);

/*
 * The server for a connection: `tried` is a mask of those that failed it already, `source_hash` a
 * number of the client's address. -1 when all have been tried. Those that are down, and backups,
 * come only when nothing better is left.
 */
int backend_choose(struct backend *backend, uint32_t tried, uint64_t source_hash);

/* Bookkeeping of one connection; each does nothing for a server without state. */
void server_taken(struct server *server);
void server_left(struct server *server);

/*
 * What came of connecting. Failing marks the server down for a time that doubles, from 1 s to 60 s;
 * what fails while it is down changes nothing. True when that is news: it was up, or down, before.
 */
bool server_answered(struct server *server);
bool server_failed(struct server *server);

#endif
