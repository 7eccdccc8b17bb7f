/* What a client speaks that does not speak TLS, by its first bytes. Pure. */
#ifndef GATEHOUSE_WIRE_PLAINTEXT_H
#define GATEHOUSE_WIRE_PLAINTEXT_H

#include "base/bytes.h"

enum plaintext {
	PLAINTEXT_MORE,  /* one more byte may tell */
	PLAINTEXT_OTHER, /* none of these */
	PLAINTEXT_SSH,   /* "SSH-" (RFC 4253 section 4.2) */
	PLAINTEXT_HTTP, /* a request line of HTTP/1 (RFC 9112 section 3), or one that is too long to tell */
	PLAINTEXT_HTTP2, /* the preface of HTTP/2 with prior knowledge (RFC 9113 section 3.4) */
};

/* Of all bytes that have come. Any answer but PLAINTEXT_MORE stays; HTTP_LINE_MAX bytes suffice for one. */
enum plaintext plaintext_look(struct span heard);

#endif
