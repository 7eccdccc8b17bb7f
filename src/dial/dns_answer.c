#include "dial/dns_answer.h"

#include <ares.h>
#include <string.h>

#define SECOND     UINT64_C(1000000)
#define LIFE_MIN   (1 * SECOND)
#define LIFE_MAX   (3600 * SECOND)
#define LIFE_LOCAL (30 * SECOND)

static struct in6_addr ip_of(const struct ares_addrinfo_node *node)
{
	struct in6_addr ip = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (node->ai_family == AF_INET)
		memcpy(ip.s6_addr + 12, &((struct sockaddr_in *)(void *)node->ai_addr)->sin_addr,
			4);
	else
		ip = ((struct sockaddr_in6 *)(void *)node->ai_addr)->sin6_addr;
	return ip;
}

static bool has_address(const struct in6_addr *all, size_t count, const struct in6_addr *ip)
{
	for (size_t i = 0; i < count; i++)
		if (IN6_ARE_ADDR_EQUAL(&all[i], ip))
			return true;
	return false;
}

/* The first node from here on that is, or is not, of this family. */
static const struct ares_addrinfo_node *next_of_family(
	const struct ares_addrinfo_node *node, int family, bool is_wanted)
{
	while (node && (node->ai_family == family) != is_wanted)
		node = node->ai_next;
	return node;
}

/* c-ares has sorted; here the two families take turns, the better one first. */
static size_t interleave_families(const struct ares_addrinfo_node *nodes, struct in6_addr *out)
{
	int best = nodes ? nodes->ai_family : AF_UNSPEC;
	const struct ares_addrinfo_node *next[2] = {nodes, next_of_family(nodes, best, false)};
	size_t count = 0;
	for (int turn = 0; count < DNS_ADDRESSES_MAX && (next[0] || next[1]); turn = !turn) {
		if (!next[turn])
			continue;
		struct in6_addr ip = ip_of(next[turn]);
		if (!has_address(out, count, &ip))
			out[count++] = ip;
		next[turn] = next_of_family(next[turn]->ai_next, best, turn == 0);
	}
	return count;
}

/* The shortest of all records, those of the aliases too; above 2^31 is 0 (RFC 2181 section 8). */
static uint64_t shortest_ttl_us(const struct ares_addrinfo *found)
{
	int ttl = (int)(LIFE_MAX / SECOND);
	for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
		ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
	for (const struct ares_addrinfo_cname *name = found->cnames; name; name = name->next)
		ttl = name->ttl < ttl ? name->ttl : ttl;
	return ttl > 0 ? (uint64_t)ttl * SECOND : LIFE_MIN;
}

const char *dns_error_text(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return "no such name";
	case ARES_ENODATA:
		return "the name has no address";
	case ARES_ETIMEOUT:
		return "the name server does not answer";
	case ARES_ECONNREFUSED: /* what is left when each of them refused or failed */
		return "no name server gave an answer";
	case ARES_EBADNAME:
		return "not a host name";
	default:
		return ares_strerror(status);
	}
}

void dns_answer_read(
	struct dns_answer *out, int status, const struct ares_addrinfo *found, bool is_local)
{
	size_t count = found ? interleave_families(found->nodes, out->addresses) : 0;
	if (status == ARES_SUCCESS && count == 0)
		status = ARES_ENODATA;
	out->error = status == ARES_SUCCESS ? NULL : dns_error_text(status);
	out->is_no_name = status == ARES_ENOTFOUND;
	out->count = status == ARES_SUCCESS ? count : 0;
	out->life_us = out->error ? 0 : is_local ? LIFE_LOCAL : shortest_ttl_us(found);
}
