/* Whose connections over loopback are. */
#ifndef GATEHOUSE_NET_TCP_PEER_UID_H
#define GATEHOUSE_NET_TCP_PEER_UID_H

#include "net/address.h"

#include <sys/types.h>

/*
 * Whose process holds the other end of a connection over loopback, by sock_diag(7) or, where that
 * is missing, by /proc/net/tcp. False: none, or none any more: a closed socket belongs to nobody.
 */
bool tcp_peer_uid(const struct address *peer, const struct address *own, uid_t *out);

#endif
