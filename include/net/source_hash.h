/* Where a client comes from, as a number: the same address always gives the same, so that a balance
 * by source keeps a client on its server. */
#ifndef GATEHOUSE_NET_SOURCE_HASH_H
#define GATEHOUSE_NET_SOURCE_HASH_H

#include <stdint.h>
#include <sys/socket.h>

/*
 * Of the IP address without its port; 0 for anything else. IPv4 counts as v4-mapped: whether a
 * listener is dual-stack must not matter. Unkeyed, so that it holds over restarts and machines.
 */
uint64_t source_hash(const struct sockaddr *address);

#endif
