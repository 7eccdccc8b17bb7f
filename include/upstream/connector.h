/*
 * From a target to a ready stream, or a classified failure: resolves the name, connects to one address
 * after the other, sends a header in front of everything (PROXY), asks for TLS in the protocol's own way
 * (STARTTLS) and shakes hands, as the setup says. Sessions, health checks and the client connect by it.
 *
 * One handle, in the owner's memory, and one callback. connector_start may have an answer at once; else
 * on_done is called, once, from the loop.
 */
#ifndef GATEHOUSE_UPSTREAM_CONNECTOR_H
#define GATEHOUSE_UPSTREAM_CONNECTOR_H

#include "dial/dial.h"
#include "net/loop_ctx.h"
#include "net/plain_stream.h"
#include "preface/preface.h"
#include "tls/tls_client.h"

#define CONNECT_SAME_LIMIT UINT64_MAX
#define CONNECT_WHY_MAX    512

struct connector_setup {
	struct loop_ctx *ctx;
	struct resolver *resolver;
	const struct endpoint *endpoint; /* for the call */
	int family;                      /* AF_INET or AF_INET6 alone; AF_UNSPEC: either */
	struct plain_stream *plain; /* memory of the transport, for as long as the stream lives */
	/* Writes what goes in front of everything; NULL: nothing does. 0: it cannot be said. */
	size_t (*write_header)(void *owner, uint8_t *out, size_t size);
	const struct preface *starttls; /* NULL: none */
	/* The protocol whose server greets, within TLS if there is any, and is not to; NULL: none. */
	const struct preface *greeter;
	const char
		*host; /* of the conversation: whom the client wants; lent; NULL: as `tls` has it */
	struct buf *greeting;  /* of preface/preface.h, for the conversation; may be NULL */
	void *memory;          /* the same */
	struct tls_peer *tls;  /* NULL: none; lent */
	struct span alpn;      /* to offer, in wire form; lent until the answer */
	uint64_t keepalive_ms; /* TCP probes; 0: as the kernel does it */
	/* 0: no limit. `secure_ms` counts from being connected; CONNECT_SAME_LIMIT: `dial_ms` goes on. */
	uint64_t dial_ms, secure_ms;
	void (*on_done)(void *owner);
	void *owner;
};

enum connect_state { CONNECT_WAIT, CONNECT_READY, CONNECT_FAILED };

enum connect_failure {
	CONNECT_DIAL,      /* not resolved, refused, unreachable, too late */
	CONNECT_HEADER,    /* did not take the header */
	CONNECT_PREFACE,   /* declined TLS, or did not speak the protocol */
	CONNECT_HANDSHAKE, /* TLS failed, the verification of its certificate included */
};

struct connector {
	struct connector_setup setup;
	enum connect_state state;
	enum connect_failure failure;
	enum connect_phase {
		PHASE_DIAL,
		PHASE_CONNECT,
		PHASE_HEADER,
		PHASE_PREFACE,
		PHASE_TLS,
		PHASE_GREETING
	} phase;
	ev_timer limit;
	struct dial *dial;           /* PHASE_DIAL: a name, or several addresses */
	struct stream *stream;       /* once there is a descriptor; the caller's when taken */
	struct connector_talk *talk; /* PHASE_PREFACE, PHASE_GREETING */
	bool is_by_name; /* the target is a name: `address` says what was connected to */
	bool is_timeout, is_unresolved;
	unsigned round;        /* of loop_ctx_has_to_wait */
	int error;             /* CONNECT_DIAL: an errno; 0: unresolved, or too late */
	uint64_t connected_us; /* clock_now_us, once it was */
	struct address
		address; /* of the peer; of a name once it is connected, before that len is 0 */
	char why[CONNECT_WHY_MAX]; /* CONNECT_FAILED: in words, cut where they are longer */
};

/* In the owner's memory; then connector_cancel is safe. */
void connector_init(struct connector *connector);

/* Of one that was initialised, or cancelled. */
enum connect_state connector_start(
	struct connector *connector, const struct connector_setup *setup);

/* CONNECT_READY: the stream is the caller's from now on; it watches for nothing and has no driver. */
struct stream *connector_take(struct connector *connector);

/* Ends it in whatever state, without a call; what was not taken is closed. More than once is fine. */
void connector_cancel(struct connector *connector);

/* Is there, or was there, a connection, whatever became of it? */
static inline bool connector_is_connected(const struct connector *connector)
{
	return connector->phase > PHASE_CONNECT || connector->stream;
}

/*
 * While it is not connected, or a time limit found it so: the addresses that are tried, "": the name is
 * being resolved. False: it is, or was, connected.
 */
#define CONNECTOR_TRIED_MAX 256
bool connector_tried(const struct connector *connector, char out[CONNECTOR_TRIED_MAX]);

#endif
