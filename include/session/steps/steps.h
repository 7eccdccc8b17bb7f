/*
 * The steps of a session, and the lists that they make up. This is the place to read what happens to
 * a connection, top to bottom.
 */
#ifndef GATEHOUSE_SESSION_STEPS_STEPS_H
#define GATEHOUSE_SESSION_STEPS_STEPS_H

#include "session/session.h"
#include "wire/alert.h"

/* A TLS client at the front door. */
extern const struct step router_steps[];

/* The same behind a proxy that tells in a PROXY header who connected. */
extern const struct step proxied_steps[];

/* A local client in the clear, to be taken to a TLS server; the session has its route already. */
extern const struct step forward_steps[];

/* A name that nobody has: the closest certificate and an HTTP 421. */
extern const struct step misdirected_steps[];

/* Say no more, hear the peer out for a moment (or it may lose our last words), close. */
extern const struct step linger_steps[];

enum step_result step_admit_source(struct session *session);       /* admit_source.c */
enum step_result step_sniff(struct session *session);              /* sniff.c */
enum step_result step_choose_route(struct session *session);       /* choose_route.c */
enum step_result step_handshake_client(struct session *session);   /* handshake_client.c */
enum step_result step_open_upstream(struct session *session);      /* open_upstream.c */
enum step_result step_send_proxy_header(struct session *session);  /* send_proxy_header.c */
enum step_result step_handshake_upstream(struct session *session); /* handshake_upstream.c */
enum step_result step_answer_421(struct session *session);         /* responder.c */

/* Counts the session on its route; false when the route is full. */
bool acquire_slot(struct session *session);

/* Has the administrator taken its route, or all of them, out of use? */
bool is_drained(const struct session *session);

/* A fatal alert in the clear, before any handshake; then farewell. `why` is copied. */
enum step_result refuse_with_alert(struct session *session, enum alert alert, const char *why);

/* close_notify where there is TLS, FIN; then farewell. `why` is copied. */
enum step_result refuse_politely(struct session *session, const char *why);

/* The server that was chosen is connected to, with TLS where that is asked for; or it failed, and the
 * next one is tried. `reason` is copied. */
void upstream_answered(struct session *session);
enum step_result upstream_is_out(struct session *session, const char *reason);

/* Frees the dial of a session that ends while it opens its upstream. */
void dial_abandon(struct session *session);

#endif
