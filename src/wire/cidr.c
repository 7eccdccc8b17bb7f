#include "wire/cidr.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V4_MAPPED                                                                                  \
	{                                                                                          \
		.s6_addr = { [10] = 0xff, [11] = 0xff }                                            \
	}
#define V4_MAPPED_BYTES 12

bool cidr_address(const struct sockaddr *address, struct in6_addr *out)
{
	switch (address->sa_family) {
	case AF_INET:
		*out = (struct in6_addr)V4_MAPPED;
		memcpy(out->s6_addr + V4_MAPPED_BYTES,
			&((const struct sockaddr_in *)address)->sin_addr, 4);
		return true;
	case AF_INET6:
		*out = ((const struct sockaddr_in6 *)address)->sin6_addr;
		return true;
	default:
		return false;
	}
}

bool network_contains(const struct network *network, const struct in6_addr *address)
{
	unsigned bytes = network->bits / 8, rest = network->bits % 8;
	if (memcmp(network->address.s6_addr, address->s6_addr, bytes) != 0)
		return false;
	uint8_t mask = (uint8_t)(0xff00 >> rest);
	return rest == 0 ||
		((network->address.s6_addr[bytes] ^ address->s6_addr[bytes]) & mask) == 0;
}

/* "8": decimal digits alone, which strtoul(3) does not insist on. */
static bool prefix_parse(const char *text, unsigned max, unsigned *out)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 3 || text[len])
		return false;
	*out = (unsigned)strtoul(text, NULL, 10);
	return *out <= max;
}

bool network_parse(const char *text, struct network *out)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned max = 128;
	if (len >= sizeof address)
		return false;
	snprintf(address, sizeof address, "%.*s", (int)len, text);
	out->address = (struct in6_addr)V4_MAPPED;
	if (inet_pton(AF_INET, address, out->address.s6_addr + V4_MAPPED_BYTES) == 1)
		max = 32;
	else if (inet_pton(AF_INET6, address, &out->address) != 1)
		return false;
	unsigned bits = max;
	if (slash && !prefix_parse(slash + 1, max, &bits))
		return false;
	out->bits = 128 - max + bits;
	return true;
}
