/*
 * What kind of failure a TLS client's stream met, for those who tell people what to do about it;
 * the words are in the stream's `error`.
 */
#ifndef GATEHOUSE_TLS_TLS_FAULT_H
#define GATEHOUSE_TLS_TLS_FAULT_H

#include "net/stream.h"

enum tls_fault {
	TLS_FAULT_OTHER,
	TLS_FAULT_NETWORK, /* reset, timed out */
	TLS_FAULT_CLOSED,  /* an end where there should be none: no close_notify, or in a handshake
			    */
	TLS_FAULT_NOT_TLS, /* what came is no TLS */
	TLS_FAULT_VERSION, /* no common version */
	TLS_FAULT_ALERT,   /* the server said so: `alert` */
	TLS_FAULT_UNTRUSTED, /* the server's certificate: its issuer, */
	TLS_FAULT_NAME,      /* its names, */
	TLS_FAULT_EXPIRED,   /* its dates, */
	TLS_FAULT_NOT_YET,
	TLS_FAULT_PIN, /* that it is not the pinned one, */
	TLS_FAULT_REVOKED,
};

struct tls_failure {
	enum tls_fault fault;
	unsigned alert; /* a number of RFC 8446 section 6.2 */
	bool secured;   /* the handshake was done, as far as we knew */
	bool asked;     /* the server asked for a certificate of ours */
};

void tls_stream_failure(const struct stream *stream, struct tls_failure *out);

/* "certificate required"; "alert 200" for a number that has no name. `out` holds 32 bytes. */
#define TLS_ALERT_TEXT_MAX 32
void tls_alert_text(unsigned alert, char out[TLS_ALERT_TEXT_MAX]);

#endif
