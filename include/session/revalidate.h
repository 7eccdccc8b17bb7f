/*
 * Hosts with "revalidate": a session that was admitted by a certificate is closed when it would no
 * longer be: its route, CA or ACL has changed that way, a CRL names the certificate, or its last day
 * has passed. After a reload the sessions are judged a few at a time, between other work.
 */
#ifndef GATEHOUSE_SESSION_REVALIDATE_H
#define GATEHOUSE_SESSION_REVALIDATE_H

#include "session/engine.h"

void revalidate_init(struct service *service);
void revalidate_finish(struct service *service);

/* The service has a new snapshot. */
void revalidate_all(struct service *service);

/* A session begins to relay: its certificate's last day is watched, where that is asked for. */
void revalidate_watch(struct session *session);

#endif
