/*
 * Logs, as an error, each certificate revocation list whose time for its next update (RFC 5280
 * section 5.1.2.5) has passed: when it is loaded, when that time comes, and each day after.
 */
#ifndef GATEHOUSE_DAEMON_CRL_WATCH_H
#define GATEHOUSE_DAEMON_CRL_WATCH_H

#include "route/routes.h"

#include <ev.h>

struct crl_watch;

struct crl_watch *crl_watch_create(struct ev_loop *loop, struct err *err);

/* Watches the lists of that snapshot, which must live until the next call, and no others. */
void crl_watch_follow(struct crl_watch *watch, const struct routes *routes);

/* Checks now; the wall clock may have been set. */
void crl_watch_check(struct crl_watch *watch);

void crl_watch_destroy(struct crl_watch *watch); /* NULL is fine */

#endif
