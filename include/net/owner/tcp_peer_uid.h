/* The user at the other end of a connection over loopback. */
#ifndef GATEHOUSE_NET_OWNER_TCP_PEER_UID_H
#define GATEHOUSE_NET_OWNER_TCP_PEER_UID_H

#include "net/address.h"

#include <sys/types.h>

/*
 * The user whose process holds the other end, `peer`, of a connection over loopback: from
 * sock_diag(7) or, where that is missing, from /proc/net/tcp. False: unknown; a closed socket has no
 * user.
 */
bool tcp_peer_uid(const struct address *peer, const struct address *own, uid_t *out);

#endif
