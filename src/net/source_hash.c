#include "net/source_hash.h"

#include "base/hash.h"

#include <netinet/in.h>
#include <string.h>

uint64_t source_hash(const struct sockaddr *address)
{
	const struct hash_key key = {0};
	struct in6_addr ip = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (address->sa_family == AF_INET)
		memcpy(ip.s6_addr + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
	else if (address->sa_family == AF_INET6)
		ip = ((const struct sockaddr_in6 *)address)->sin6_addr;
	else
		return 0;
	return hash_bytes(key, &ip, sizeof ip);
}
