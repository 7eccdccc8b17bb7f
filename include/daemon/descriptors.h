/*
 * How the process's descriptors (RLIMIT_NOFILE) are shared out. A connection is counted as two from
 * its beginning, so that every accepted one can be connected to a server; when none are left, new
 * connections wait in the kernel's queue. Pipes and the further attempts of a dial by name get parts of
 * their own, and some are kept for files.
 */
#ifndef GATEHOUSE_DAEMON_DESCRIPTORS_H
#define GATEHOUSE_DAEMON_DESCRIPTORS_H

#include "session/service.h"

/* Raises the limit to the most that we may have. */
void descriptors_raise_limit(void);

/* Sets `connections_max`, `pipes_max` and `dialing_max`, from what is open by now. Before workers start. */
void descriptors_share(struct limits *limits, unsigned workers);

#endif
