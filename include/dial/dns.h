/*
 * Questions to the name servers that resolv.conf lists now. When that file has changed, the next
 * question opens a new channel; those under way end on the old one.
 */
#ifndef GATEHOUSE_DIAL_DNS_H
#define GATEHOUSE_DIAL_DNS_H

#include "dial/dns_channel.h"

struct dns;

/* `source` NULL: /etc/resolv.conf and port 53; its path is lent for the life of the dns. */
struct dns *dns_create(struct ev_loop *loop, const struct dns_source *source, struct err *err);

/* NULL is fine. Questions under way are dropped without a call. Never from a dns_answer_fn. */
void dns_destroy(struct dns *dns);

void dns_ask(struct dns *dns, const char *name, dns_answer_fn *on_answer, void *owner);

#endif
