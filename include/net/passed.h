/*
 * Listening sockets that were passed to the process by its starter: systemd's socket activation
 * (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES).
 */
#ifndef GATEHOUSE_NET_PASSED_H
#define GATEHOUSE_NET_PASSED_H

#include "net/address.h"

/* Reads the environment, takes the descriptors over and clears it; once, before threads start. */
void passed_take(void);

/* A descriptor by its name ("fd:NAME"), or by the address that it is bound to; -1: none. Lent. */
int passed_by_name(const char *name);
int passed_by_address(const struct address *address);

#endif
