/*
 * One channel of c-ares on a loop: its sockets, its clock, and the questions under way. It reads
 * resolv.conf when it is created and never again.
 */
#ifndef GATEHOUSE_DIAL_DNS_CHANNEL_H
#define GATEHOUSE_DIAL_DNS_CHANNEL_H

#include "base/err.h"
#include "dial/dns_answer.h"

#include <ev.h>

/* Where the name servers are listed. */
struct dns_source {
	const char *resolv_conf; /* lent for the life of the channel */
	uint16_t port;           /* 0: 53 */
};

struct dns_channel;

/* From within dns_channel_ask or later, from the loop; it must not ask or destroy. `answer` is lent. */
typedef void dns_answer_fn(void *owner, const struct dns_answer *answer);

/* The last question under way is answered, from the loop. The channel may be destroyed. */
typedef void dns_idle_fn(void *owner, struct dns_channel *channel);

struct dns_channel *dns_channel_create(struct ev_loop *loop, const struct dns_source *source,
	dns_idle_fn *on_idle, void *owner, struct err *err);

/* NULL is fine. Questions under way are dropped without a call. */
void dns_channel_destroy(struct dns_channel *channel);

bool dns_channel_is_idle(const struct dns_channel *channel);
void dns_channel_ask(
	struct dns_channel *channel, const char *name, dns_answer_fn *on_answer, void *owner);

#endif
