/*
 * The life of one connection: a list of named steps, run one after the other (session/engine,
 * session/steps). What one step needs for itself between two calls is in `at`, which belongs to the
 * current step; what the whole connection has is beside it. The engine makes and frees sessions.
 */
#ifndef GATEHOUSE_SESSION_SESSION_H
#define GATEHOUSE_SESSION_SESSION_H

#include "net/listener.h"
#include "net/plain_stream.h"
#include "net/relay.h"
#include "preface/preface.h"
#include "route/routes.h"
#include "session/service.h"
#include "upstream/connector.h"

struct session;

enum step_result {
	STEP_NEXT,
	STEP_JUMP, /* `step` was set to what comes next */
	STEP_WAIT, /* it has arranged to be called again */
	STEP_END,  /* the session is gone */
};

struct step {
	const char *name; /* NULL ends a list */
	enum step_result (*run)(struct session *session);
	/* Releases what the step holds in `at`, when the session ends or leaves it by a jump; NULL: nothing. */
	void (*cancel)(struct session *session);
};

/* What a connection says of itself, kept for the log, for OpenSSL and for its server; one block. */
struct hello_facts {
	char *sni;          /* "" when none */
	char *alpn_offered; /* in text form, comma between; "" when none */
	struct span alpn;   /* the id to agree on */
};

/* Bytes that were looked at and not taken (steps/peek). */
struct peeking {
	size_t seen; /* at the last look */
	bool has_want;
	const char
		*ended; /* in words, static: the client closed before the rest; NULL: of a hello */
};

/* The state of the current step; which member it is follows from `step`. */
union step_state {
	struct peeking sniff;
	ev_tstamp silence_ends; /* await_bytes: by loop_ctx_now */
	struct preface_state {
		struct peeking peek;
		const struct preface *const *next; /* the candidates that are left */
		bool is_chosen;                    /* it has said something: `next` is the one */
		struct talk_state talk;
	} preface;
	struct {
		struct handshake_place { /* session/handshakes; all zero at first */
			enum { HANDSHAKE_OUTSIDE, HANDSHAKE_WAITING, HANDSHAKE_ACTIVE } at;
			struct session *next, *previous; /* while it waits */
		} place;
		uint64_t started_us;
		bool is_denied; /* by the ACL */
	} handshake;
	struct {
		uint64_t started_us;
		uint32_t tried;         /* servers of the backend, a bit each */
		enum end_reason reason; /* of the last failure */
		char *failure;          /* in words; NULL: none yet */
	} connect;
	struct answer_state {
		size_t seen;
		uint8_t last_byte; /* of the request so far */
		/* Bytes of "HEAD " that it begins with; bytes of " HTTP/" that its first line has. */
		uint8_t head_matched, http_matched;
	} answer;
};

/* What a session has from the moment when it connects to its server. */
struct forwarding {
	struct plain_stream plain; /* memory of the upstream's transport */
	union {
		struct connector connector; /* in step connect_upstream */
		struct relay relay;         /* in step relay */
	};
	struct pump_sample {
		uint64_t bytes;
		bool has_waited;
	} sampled_up, sampled_down;        /* at the last look (session/least_rate) */
	uint64_t joined_up, joined_down;   /* bytes that were passed on before the relay */
	uint64_t counted_up, counted_down; /* of all of them, those that the counters have */
	size_t alpn_len;
	uint8_t alpn[]; /* what the server is offered, in wire form */
};

struct session {
	struct service *service;
	struct session *next, **link; /* in service->sessions */
	const struct step *step;
	struct routes *routes;       /* a reference: what it began with */
	struct route *route;         /* NULL until it is chosen, and where there is none */
	struct tls_context *context; /* what TLS is terminated with; NULL: it is not */
	const struct listener *listener;
	const struct listener_config *listener_config; /* of `routes`; NULL: it is none of theirs */
	union talk_address source;                     /* AF_UNIX: a local client */
	union talk_address told_destination; /* of a PROXY header; AF_UNSPEC: there was none */
	struct hello_facts *hello;
	/* The STARTTLS that it began with, or the protocol of its ALPN id; NULL: neither is known. */
	const struct preface *preface;
	struct join *join; /* of a conversation behind TLS, while it goes on; else NULL */
	struct cancel_key *cancel_key; /* that the client was given; NULL: none */

	struct plain_stream client_plain; /* memory of the client's transport */
	struct stream *client, *upstream; /* upstream: NULL until there is one */
	struct forwarding *forwarding;    /* NULL until step connect_upstream */
	struct relay *relay;              /* of `forwarding`; NULL until step relay */

	union step_state at;
	unsigned round;      /* of loop_ctx_has_to_wait; 0: no callback yet */
	bool is_step_new;    /* the current step has not run yet */
	bool is_retry;       /* the timer fires before the deadline, to run the step again */
	bool is_revalidated; /* under the newest snapshot */
	bool revalidates;    /* as the newest snapshot with its route says */
	bool is_route_counted, is_source_counted;
	bool is_end_due; /* without a relay: the client has its answer, or left before it asked */
	bool is_direct_tls; /* it began with TLS: `preface` is that of its ALPN id */

	/* Why it ends: by the deadline; or decided ahead of its end, a refusal that lingers. */
	enum end_reason timeout_reason, end_reason;
	const char *timeout_words; /* static */
	char *end_words;           /* NULL: not decided */

	ev_timer timer;
	ev_tstamp deadline;   /* loop_ctx_now; 0: none */
	ev_tstamp sampled_at; /* session/least_rate: when to look next; 0: never */
	ev_tstamp expires;    /* revalidate: when the client's certificate does; 0: not watched */

	int server;          /* of route->backend, -1: none */
	char *upstream_text; /* the address, where the server is known by name */
	uint64_t began_us, handshake_us, dial_us;
	uint64_t id;               /* unique in the process */
	struct route_stats *stats; /* NULL until the route is chosen */
};

/* The step runs for the first time, and sets its state up. */
static inline bool session_enters_step(struct session *session)
{
	bool is_new = session->is_step_new;
	session->is_step_new = false;
	return is_new;
}

/* Bytes that were passed on so far. */
static inline uint64_t session_up(const struct session *session)
{
	uint64_t joined = session->forwarding ? session->forwarding->joined_up : 0;
	return joined + (session->relay ? session->relay->up.bytes : 0);
}

static inline uint64_t session_down(const struct session *session)
{
	uint64_t joined = session->forwarding ? session->forwarding->joined_down : 0;
	return joined + (session->relay ? session->relay->down.bytes : 0);
}

/* Of the client's verified certificate; NULL: it sent none. */
const struct identity *session_client_identity(const struct session *session);

/* "192.0.2.1:50000", "unix" */
void session_source_text(const struct session *session, char out[ADDRESS_TEXT_MAX]);

/* The server that it is, or was last, connected to: the address where a name was resolved, else what the
 * configuration says. NULL: none yet. */
const char *session_upstream_text(const struct session *session);

#endif
