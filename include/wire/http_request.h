/*
 * The head of an HTTP/1 request (RFC 9112) that comes in the clear and is answered with a redirect. It is read
 * strictly, because the answer repeats parts of it. Pure.
 */
#ifndef GATEHOUSE_WIRE_HTTP_REQUEST_H
#define GATEHOUSE_WIRE_HTTP_REQUEST_H

#include "base/bytes.h"

#define HTTP_METHOD_MAX 32
#define HTTP_LINE_MAX   8192  /* the request line, with its end */
#define HTTP_HEAD_MAX   16384 /* all of the head */

enum http_verdict {
	HTTP_MORE,  /* nothing can be said yet */
	HTTP_WHOLE, /* all members are set */
	HTTP_BAD,   /* `status` and `error` say why; `is_head` is set if it is known */
};

struct http_request {
	bool is_head;       /* HEAD: the answer has no body */
	struct span host;   /* of an absolute target, else of the Host field; IPv6 in brackets */
	struct span port;   /* digits; empty: none was sent */
	struct span target; /* path and query. May lack the "/" at its beginning. */
	size_t len;         /* of the head */
	unsigned status;    /* HTTP_BAD: 400, 414, 431 or 505 */
	const char *error;  /* in words, static */
};

/*
 * `heard`: all bytes that have come, which the spans point into. A verdict other than HTTP_MORE stays whatever
 * follows, and comes at HTTP_HEAD_MAX bytes at the latest. Each line ends in CR LF. Neither `host` nor `target`
 * holds a space or a byte that does not print.
 */
enum http_verdict http_request_parse(struct span heard, struct http_request *out);

/* One of token's characters (RFC 9110 section 5.6.2). */
bool http_is_token(uint8_t byte);

/* "Bad Request": of the codes above and of 308. */
const char *http_reason_phrase(unsigned status);

#endif
