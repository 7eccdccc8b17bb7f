/*
 * Listening sockets that were passed to the process by its starter: systemd's socket activation
 * (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), or the gatehouse whose place it takes
 * (app/upgrade.h). The latter's own sockets are named INHERITED_OWN: there may be several of one
 * address, and who claims one owns it. All others are lent and stay the starter's.
 */
#ifndef GATEHOUSE_NET_INHERITED_H
#define GATEHOUSE_NET_INHERITED_H

#include "net/address.h"

#define INHERITED_OWN      "@"
#define INHERITED_MAX      8192
#define INHERITED_NAME_MAX 64

/* Reads the environment, takes the descriptors over and clears it; once, before threads start. */
void inherited_take(void);

/* A descriptor by its name ("fd:NAME"), or by the address that it is bound to; -1: none. Lent. */
int inherited_by_name(const char *name);
int inherited_by_address(const struct address *address);

/* The next one of INHERITED_OWN with this address, which is the caller's from now on; -1: no more. */
int inherited_adopt(const struct address *address);

/* The path of a unix socket that is not claimed, by its number; false behind the last. */
bool inherited_unadopted_path(size_t index, struct address *out);

/* This process serves: what is not claimed of INHERITED_OWN is closed, and socket files removed. Until
 * then the files are still the starter's, who goes on if this start fails. */
void inherited_settle(void);
bool inherited_is_settled(void);

/* Those that are lent, to pass them on: false behind the last. */
bool inherited_borrowed(size_t index, int *fd, const char **name);

#endif
