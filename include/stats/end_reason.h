/*
 * Why a connection ended, as a type: the word for metrics and for the log's "reason", and what
 * follows from it. The words for people stand beside it where the end is decided (session_end); no
 * code reads them.
 */
#ifndef GATEHOUSE_STATS_END_REASON_H
#define GATEHOUSE_STATS_END_REASON_H

#include <stdbool.h>

enum end_reason {
	END_DONE,
	END_IDLE,
	END_SLOW,           /* a peer does not take what waits for it */
	END_CLIENT_BROKE,   /* reset, truncated or invalid while it was relayed */
	END_UPSTREAM_BROKE, /* the same of the server */
	END_CLIENT_GONE, /* the client closed while it waited for its turn, before its handshake */
	END_NO_HELLO,    /* closed, or silent until hello_timeout */
	END_NOT_TLS,
	END_BAD_HELLO,
	END_BAD_PREFACE,
	END_NO_HOST,
	END_NO_PROTOCOL,
	END_LIMIT,
	END_DRAINED,
	END_HANDSHAKE,
	END_NOT_ADMITTED, /* by the ACL */
	END_DIAL,
	END_UPSTREAM_PREFACE, /* the server declined TLS, or answered what its protocol does not allow */
	END_UPSTREAM_HANDSHAKE,
	END_REVALIDATED,
	END_KILLED, /* by the administrator */
	END_STOPPED,
	END_NO_MEMORY,
};
#define END_REASONS (END_NO_MEMORY + 1)

/* Whose doing it was. */
enum end_cause { CAUSE_NOBODY, CAUSE_CLIENT, CAUSE_UPSTREAM, CAUSE_OURS };

struct end_reason_info {
	const char *name; /* "no_host": the label of the metric */
	enum end_cause cause;
	bool is_refusal; /* the client did not get what it came for; the end of a relay is none */
	bool is_ratelimited; /* equal ones are logged a few times, then counted (session/log_ratelimit) */
};

/* Static; one for each reason. */
const struct end_reason_info *end_reason_info(enum end_reason reason);

#endif
