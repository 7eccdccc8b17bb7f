/*
 * The first message of a TLS client, parsed from the bytes that a socket has so far without taking
 * them: records (RFC 8446 section 5.1) are joined to the handshake message (section 4), and of the
 * ClientHello (section 4.1.2) the server name (RFC 6066), the ALPN list (RFC 7301) and the versions
 * are found. Pure: no I/O, no allocation, no state between calls; the answer is the same whatever
 * the records and however much of the rest has arrived.
 */
#ifndef GATEHOUSE_WIRE_CLIENT_HELLO_H
#define GATEHOUSE_WIRE_CLIENT_HELLO_H

#include "wire/server_name.h"

/* The most that a hello may take on the wire, record headers included. */
#define CLIENT_HELLO_MAX 65536

enum hello_verdict {
	HELLO_WHOLE,
	HELLO_MORE,      /* nothing wrong yet, and not all there */
	HELLO_NOT_TLS,   /* the first bytes are no TLS handshake record */
	HELLO_BROKEN,    /* TLS, but a length or a structure does not add up: decode_error */
	HELLO_TOO_LARGE, /* over CLIENT_HELLO_MAX */
};

struct client_hello {
	/*
	 * HELLO_WHOLE: `sni.len` is 0 when the client sent no name or when `sni_error` says, in
	 * words that fit behind "server name ", why its name cannot be used ("holds a NUL byte",
	 * "extension is malformed"); such a hello selects no route (illegal_parameter).
	 */
	struct server_name sni;
	const char *sni_error;
	bool sni_is_address; /* the name sent is an IP address, which counts as none: `sni.len` is 0 */
	/*
	 * The body of the ALPN list: one length byte, then the id, again and again; every id is at
	 * least one byte and the list is well formed. Walk it with alpn_next. Empty: none offered.
	 * Points into the caller's memory (wire or joined).
	 */
	struct span alpn;
	/* Malformed, in words behind "ALPN "; such a hello selects no route (decode_error). */
	const char *alpn_error;
	/*
	 * Offered, GREASE left out: 0x0301 .. 0x0304; 0: none known. Without supported_versions a
	 * client names only its highest, at most 0x0303, and is taken to accept every lower one.
	 */
	uint16_t version_min, version_max;
	size_t wire_len; /* bytes on the wire up to the end of the last record used */

	/*
	 * HELLO_MORE: no hello can be whole with fewer bytes than this in all; more than there are,
	 * and at most CLIENT_HELLO_MAX. Who waits for as many looks again a few times only, even
	 * when every record holds one byte.
	 */
	size_t want;
	/* HELLO_NOT_TLS, HELLO_BROKEN, HELLO_TOO_LARGE: why, in words for the log. */
	const char *error;
};

/*
 * `wire` is all that the client has sent so far. `joined` is CLIENT_HELLO_MAX bytes of scratch,
 * used when the hello is spread over several records; it must live as long as `hello->alpn` is
 * used. Any verdict but HELLO_MORE is final: it stays whatever follows. Any but HELLO_WHOLE leaves
 * no more in `hello` than `want` or `error`, so that no decision rests on half a hello.
 */
enum hello_verdict client_hello_parse(
	struct span wire, uint8_t *joined, struct client_hello *hello);

/* Takes the next id of an ALPN list; false at its end. */
bool alpn_next(struct span *list, struct span *id);

/*
 * An ALPN id as printable text: bytes outside 0x21-0x7e and '%' as %XX (RFC 7639 section 2.2's
 * form). Cut to fit `size`; always ends in a NUL. An id of 255 bytes needs 766.
 */
#define ALPN_TEXT_MAX 766
void alpn_text(struct span id, char *out, size_t size);

#endif
