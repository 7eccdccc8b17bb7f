/*
 * What becomes of a connection: a decision over a snapshot and what is known of the client, pure,
 * without I/O and allocation. Sessions act on it and `explain` prints it, so that the two agree.
 */
#ifndef GATEHOUSE_ROUTE_DECISION_H
#define GATEHOUSE_ROUTE_DECISION_H

#include "preface/preface.h"
#include "route/acl/acl.h"
#include "route/routes.h"
#include "stats/end_reason.h"
#include "wire/alert.h"
#include "wire/plaintext.h"

enum outcome {
	OUTCOME_ROUTE,    /* to the route's backend, after a handshake if there is a context */
	OUTCOME_WAIT,     /* the ClientHello is incomplete: the rest has until hello_timeout */
	OUTCOME_CLOSE,    /* no answer */
	OUTCOME_ALERT,    /* a fatal alert in the clear */
	OUTCOME_PAGE_421, /* a handshake under another host's certificate, then HTTP 421 */
	OUTCOME_REFUSAL,  /* a handshake, then the refusal in words of the protocol */
	OUTCOME_REDIRECT, /* HTTP in the clear: a 308 to https. The route has no backend. */
};

struct route_facts {
	enum hello_verdict verdict;
	const struct client_hello *hello; /* what that verdict left there */
	bool is_drained;                  /* the administrator drains every host */
	const struct preface *preface;    /* the STARTTLS that the client began with; NULL: none */
	bool is_preface_unknown;          /* nothing is decided by the preface */
	enum plaintext plaintext;         /* HELLO_NOT_TLS: what it is */
	const struct listener_config *listener; /* of the snapshot; NULL: no matter which */
};

struct decision {
	enum outcome outcome;
	struct route *route; /* NULL: none. Set as well where the route refuses. */
	/* OUTCOME_PAGE_421, OUTCOME_REFUSAL of an unknown name: the route whose certificate is shown. */
	const struct route *closest;
	struct tls_context *context; /* what TLS is terminated with; NULL: it is not */
	const struct preface
		*protocol; /* that preceded TLS, or that `alpn` is for; NULL: unknown */
	struct span alpn;  /* the id to agree on, in the hello or the snapshot; may be empty */
	/*
	 * Of all outcomes but OUTCOME_ROUTE and OUTCOME_REDIRECT: why. `words` are static or those of the hello,
	 * `detail` stands behind them ("server name" "holds a NUL byte") or is NULL.
	 */
	enum end_reason reason;
	const char *words, *detail;
	enum alert alert; /* OUTCOME_ALERT */
};

void route_decide(
	const struct routes *routes, const struct route_facts *facts, struct decision *out);

/* The name that a whole hello counts for: its own, or that of the listener. May be empty. */
const struct server_name *decision_name(const struct route_facts *facts);

/* The protocol that the clients of a route speak for certain, as its backend has it; NULL: unknown. */
const struct preface *decision_protocol_behind(const struct route *route);

/* A route with max_connections has them all now. */
bool route_is_full(const struct route *route);

/* Turns OUTCOME_ROUTE into the refusal of a full route. */
void decision_refuse_full(struct decision *decision);

#define DECISION_TEXT_MAX 160
void decision_text(const struct decision *decision, char out[DECISION_TEXT_MAX]);

/* What is known of a client when its handshake ends. */
struct client_facts {
	const struct identity *identity; /* NULL: it shows no certificate */
	const char *verify_error;        /* why its certificate is not trusted; NULL: it is */
};

struct admission {
	bool is_admitted;
	const char *why;        /* static or of the snapshot, for either case */
	struct acl_verdict acl; /* of a certificate on a route with rules; else zero */
};

/* For a terminating route. */
void route_admit(
	const struct route *route, const struct client_facts *client, struct admission *out);

#endif
