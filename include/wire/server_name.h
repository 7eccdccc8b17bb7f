/*
 * The canonical form of a host name: lower case, no trailing dot. One function serves the SNI of a
 * ClientHello, the names of the configuration and those of certificates, so that two of them can
 * never disagree (RFC 6066 section 3, RFC 1035 section 2.3.4).
 */
#ifndef GATEHOUSE_WIRE_SERVER_NAME_H
#define GATEHOUSE_WIRE_SERVER_NAME_H

#include "base/bytes.h"

#define SERVER_NAME_MAX 253

struct server_name {
	uint8_t len;                    /* 0: no name */
	char text[SERVER_NAME_MAX + 1]; /* ends in a NUL, and holds no other */
};

/*
 * NULL when `raw` is a name, with its canonical form in `out`; else what is wrong with it, as words
 * that fit behind "server name ": "holds a NUL byte", "is an IP address". `out` then has no name.
 */
const char *server_name_parse(struct span raw, struct server_name *out);

/*
 * The same for the name that a ClientHello has: an IP address is no name (RFC 6066 section 3), and
 * clients that send one all the same are served as if they had sent none. NULL then, and `out` has no
 * name.
 */
const char *server_name_parse_sni(struct span raw, struct server_name *out);

/*
 * The same for names of the configuration and of certificates: a "*" may only be the whole first
 * label. To server_name_parse it is a byte like others: a client may well name "*.example.com", and
 * who looks it up must not take it for the pattern.
 */
const char *server_name_parse_pattern(struct span raw, struct server_name *out);

/*
 * Does the certificate name `pattern` cover `name`? Both canonical. "*" stands for exactly one
 * whole first label (RFC 6125 section 6.4.3).
 */
bool server_name_covered(const struct server_name *pattern, const struct server_name *name);

#endif
