/* What a name server, or /etc/hosts, answers: addresses and how long they may be kept, or why none. */
#ifndef GATEHOUSE_DIAL_DNS_ANSWER_H
#define GATEHOUSE_DIAL_DNS_ANSWER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_ADDRESSES_MAX 16

struct dns_answer {
	const char *error; /* NULL, or there are no addresses; a constant */
	bool is_no_name;   /* the error is that there is no such name */
	size_t count;
	struct in6_addr
		addresses[DNS_ADDRESSES_MAX]; /* IPv4 as v4-mapped; to be tried in this order */
	uint64_t life_us;
};

struct ares_addrinfo;

/* `found` may be NULL. `is_local`: from /etc/hosts, which has no time to live. */
void dns_answer_read(
	struct dns_answer *out, int status, const struct ares_addrinfo *found, bool is_local);

/* A status of c-ares in words. */
const char *dns_error_text(int status);

#endif
