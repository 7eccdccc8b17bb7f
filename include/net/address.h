/* Socket addresses as the configuration and the log write them. */
#ifndef GATEHOUSE_NET_ADDRESS_H
#define GATEHOUSE_NET_ADDRESS_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	};
};

/* "host:port", "[v6]:port", "unix:/path", taken apart. `host` is "" in ":443". */
struct endpoint {
	bool is_unix;
	char host[256]; /* the path, when is_unix */
	uint16_t port;
};
bool endpoint_parse(const char *text, struct endpoint *out, struct err *err);

/* The same where the port, and the brackets of an IPv6 address without one, may be left out. */
bool endpoint_parse_near(
	const char *text, uint16_t default_port, struct endpoint *out, struct err *err);

/* An IPv4 or IPv6 address, with no port, brackets or interface. */
bool address_is_ip(const char *text);

/* True when the endpoint needs no resolving: an IP literal, an empty host (dual-stack any), a path. */
bool endpoint_is_literal(const struct endpoint *endpoint);

/* The interface of a scoped literal, "eth0" of "fe80::1%eth0"; NULL: none is named. */
const char *endpoint_zone(const struct endpoint *endpoint);

/*
 * Of a literal. False for a name, and where this machine does not have the interface now; looking for that
 * takes system calls (socket, ioctl), so it is not done for what has no zone.
 */
bool address_of_endpoint(const struct endpoint *endpoint, struct address *out);

/* The same address and port. */
bool address_is_same(const struct address *one, const struct address *other);

/*
 * Can a connection to one also be one to the other? Both TCP, of one port, and equal, or one of them is any
 * address: "[::]:443" and "127.0.0.1:443".
 */
bool address_overlaps(const struct address *one, const struct address *other);

/* "192.0.2.1:443", "[2001:db8::1]:443", "unix:/path", "unix" (a client without a name). A v4-mapped
 * address is written as IPv4. */
#define ADDRESS_TEXT_MAX 128
void address_text(const struct sockaddr *address, socklen_t len, char out[ADDRESS_TEXT_MAX]);

#endif
