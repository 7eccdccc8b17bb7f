/*
 * Networks of addresses (CIDR, RFC 4632), IPv4 and IPv6 alike: an IPv4 address is compared as its
 * v4-mapped IPv6 address (RFC 4291 section 2.5.5.2), so that 10.0.0.0/8 is a network of 104 bits.
 */
#ifndef GATEHOUSE_WIRE_CIDR_H
#define GATEHOUSE_WIRE_CIDR_H

#include <netinet/in.h>
#include <stdbool.h>

struct network {
	struct in6_addr address; /* IPv4 as v4-mapped */
	unsigned bits;           /* 0..128 */
};

/* The address of an IPv4 or IPv6 socket address, IPv4 as v4-mapped. False: of another family. */
bool cidr_address(const struct sockaddr *address, struct in6_addr *out);

bool network_contains(const struct network *network, const struct in6_addr *address);

/* "10.0.0.0/8", "2001:db8::1" (one address). Bits behind the prefix may be set. False: neither. */
bool network_parse(const char *text, struct network *out);

#endif
