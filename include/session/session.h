/*
 * The life of one connection: a list of named steps, run one after the other (session/steps). A step
 * says NEXT when it is done, WAIT when it has arranged to be called again, END when it has called
 * session_end. One deadline is armed at a time. A session is freed by session_end and nothing else.
 */
#ifndef GATEHOUSE_SESSION_SESSION_H
#define GATEHOUSE_SESSION_SESSION_H

#include "net/listener.h"
#include "net/relay.h"
#include "net/stream.h"
#include "session/service.h"

enum step_result {
	STEP_NEXT,
	STEP_JUMP, /* `step` was set to what comes next */
	STEP_WAIT,
	STEP_END, /* the session is gone */
};

struct step {
	const char *name; /* NULL ends a list */
	enum step_result (*run)(struct session *session);
};

/* What a connection said of itself, kept for the log and for OpenSSL; one block. */
struct hello_facts {
	char *sni;          /* "" when none */
	char *alpn_offered; /* in text form, comma between; "" when none */
	struct span alpn;   /* the id to agree on */
};

/* What a session has while bytes go to and fro, and until its end. */
struct relaying {
	struct relay relay;
	uint64_t counted_up, counted_down; /* of its bytes, those that the counters have */
};

union session_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct session {
	struct service *service;
	struct session *next, **link; /* in service->sessions */
	const struct step *step;
	struct routes *routes;       /* a reference: what it began with */
	struct route *route;         /* NULL until it is chosen, and where there is none */
	struct tls_context *context; /* what TLS is terminated with; NULL: it is not */
	const struct listener *listener;
	union session_address source;           /* AF_UNIX: a local client */
	union session_address told_destination; /* of a PROXY header; AF_UNSPEC: there was none */
	struct hello_facts *hello;

	struct socket client_socket, upstream_socket;
	struct stream client_plain, upstream_plain;
	struct stream *client, *upstream; /* NULL until there is one */

	ev_timer timer;
	ev_tstamp deadline;  /* 0: none */
	ev_tstamp expires;   /* revalidate: when the client's certificate does; 0: not looked at */
	const char *timeout; /* why, when it passes */
	bool retry;          /* the timer fires before the deadline, for another try */
	bool revalidated;    /* under the newest snapshot */
	bool revalidates;    /* as the newest snapshot with its route says */
	bool route_counted, source_counted;
	bool acl_denied;
	bool head_only;    /* answer_421: the request was HEAD */
	uint8_t last_byte; /* answer_421: of the request so far */
	char *why;         /* decided before the end: a refusal that lingers */

	size_t peeked;        /* sniff: bytes seen at the last look */
	int lowat;            /* sniff: SO_RCVLOWAT, 0 when as it was */
	struct dial *dial;    /* while a host name is resolved and its addresses are tried */
	ev_tstamp dial_until; /* when this attempt to connect is given up */
	uint32_t tried;       /* servers of the backend, a bit each */
	int server;           /* of route->backend, -1: none */
	char *upstream_text;  /* the address, where the server is known by name */

	uint64_t began_us, tls_started_us, dial_started_us, handshake_us, dial_us;
	uint64_t id;               /* unique in the process */
	struct route_stats *stats; /* of the route; NULL until it is chosen */
	struct relaying *relaying; /* NULL until that step */
};

/* Bytes that were passed on so far. */
static inline uint64_t session_up(const struct session *session)
{
	return session->relaying ? session->relaying->relay.up.bytes : 0;
}

static inline uint64_t session_down(const struct session *session)
{
	return session->relaying ? session->relaying->relay.down.bytes : 0;
}

/* "192.0.2.1:50000", "unix" */
void session_source_text(const struct session *session, char out[ADDRESS_TEXT_MAX]);

/* Whom it is connected to, or was last: the address where a name was resolved, else what the
 * configuration says. NULL: nobody yet. */
const char *session_upstream_text(const struct session *session);

/* Takes `fd` over, which was just accepted. `forward`: the route of a forward, else NULL. */
void session_start(struct service *service, int fd, const struct sockaddr *source,
	const struct listener *listener, const struct step *steps, struct route *forward);

/* Always the last call: logs, closes, frees. `why` is copied. */
enum step_result session_end(struct session *session, const char *why);

/* Why it will end, decided ahead of it. Copied; the first word stands. */
void session_note_why(struct session *session, const char *why);

/* Runs steps until one waits or the session is gone. */
void session_advance(struct session *session);

/* Goes on with another list. */
enum step_result session_jump(struct session *session, const struct step *steps);

/* Back to an earlier step of the same list. */
enum step_result session_return_to(
	struct session *session, enum step_result (*run)(struct session *session));

/* Ends the session with `timeout` as the reason unless another deadline is set; 0 ms: none. */
void session_set_deadline(struct session *session, uint64_t ms, const char *timeout);

/* The current step is run again after this time, or at an event before. */
void session_retry_after(struct session *session, double seconds);

/* The client's certificate expires then: the session ends, whatever its deadline. Negative: never. */
void session_set_expiry(struct session *session, double seconds);

/* Ends every session of the service (second SIGTERM, drain timeout). */
void sessions_end_all(struct service *service, const char *why);

#endif
