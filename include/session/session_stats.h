/*
 * What a session adds to the counters of its worker and to the statistics of its route, step by step.
 * The bytes of live sessions are added once a second while the counters are being read
 * (session_stats_follow); otherwise at their end.
 */
#ifndef GATEHOUSE_SESSION_SESSION_STATS_H
#define GATEHOUSE_SESSION_SESSION_STATS_H

#include "session/session_iter.h"

void count_started(struct session *session);
void count_routed(struct session *session);
void count_acl(struct session *session, bool is_admitted);
void count_secured(struct session *session); /* the client's handshake is done */
void count_preface(struct session *session, const struct preface *preface);
void count_dial_error(struct session *session);

/* Its relay has ended, and all else is still there. */
void count_ended(struct session *session, enum end_reason reason, const char *why);

/* The once-a-second part, on or off; off again before the service ends. */
void session_stats_init(struct service *service);
void session_stats_follow(struct service *service, bool wanted);

#endif
