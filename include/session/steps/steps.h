/*
 * The steps of a session, and the lists that they make up. This is the place to read what happens to
 * a connection, top to bottom.
 */
#ifndef GATEHOUSE_SESSION_STEPS_STEPS_H
#define GATEHOUSE_SESSION_STEPS_STEPS_H

#include "route/decision.h"
#include "session/engine.h"
#include "wire/alert.h"

/* The list for a client of that listener. `is_proxied`: it is a proxy that says who connected. */
const struct step *steps_for(
	const struct listener_config *listener, const struct route *forward, bool is_proxied);

/* A TLS client of the router. */
extern const struct step router_steps[];

/* A local client in the clear, to be taken to a TLS server; the session has its route already. */
extern const struct step forward_steps[];

/* A client whose protocol is known, from its first message on, or that is yet to be greeted. */
extern const struct step joined_steps[];

/* A client that does not speak TLS, on a listener with "plaintext". */
extern const struct step plaintext_steps[];

/* An unknown server name: the closest certificate and an HTTP 421. */
extern const struct step misdirected_steps[];

/* Sends our end, reads what the client still sends for a moment (or it may lose what we sent), closes. */
extern const struct step linger_steps[];

enum step_result step_proxy_header(struct session *session);     /* preface.c */
enum step_result step_preface(struct session *session);          /* preface.c */
enum step_result step_admit_source(struct session *session);     /* admit_source.c */
enum step_result step_sniff(struct session *session);            /* sniff.c */
enum step_result step_await_bytes(struct session *session);      /* plaintext.c */
enum step_result step_plaintext(struct session *session);        /* plaintext.c */
enum step_result step_redirect(struct session *session);         /* redirect.c */
enum step_result step_choose_route(struct session *session);     /* choose_route.c */
enum step_result step_acquire_slot(struct session *session);     /* choose_route.c */
enum step_result step_handshake_client(struct session *session); /* handshake_client.c */
void cancel_handshake_client(struct session *session);
enum step_result step_first_message(struct session *session);    /* join.c */
enum step_result step_connect_upstream(struct session *session); /* connect_upstream.c */
void cancel_connect_upstream(struct session *session);
enum step_result step_join(struct session *session);        /* join.c */
enum step_result step_send_cancel(struct session *session); /* cancel.c */
enum step_result step_relay(struct session *session);       /* relay.c */
enum step_result step_answer_421(struct session *session);  /* answer_421.c */
enum step_result step_say_refusal(struct session *session); /* say_refusal.c */
enum step_result step_send_close(struct session *session);  /* linger.c */
enum step_result step_drain_input(struct session *session); /* linger.c */

/* Ends a session that was not admitted: close_notify where there is TLS, FIN, and lingers. */
enum step_result session_refuse(struct session *session, enum end_reason reason, const char *words);

/* The same with a fatal alert in the clear, before any handshake. */
enum step_result session_refuse_alert(
	struct session *session, enum alert alert, enum end_reason reason, const char *words);

/* The same as it was decided, with a page where that says so (choose_route.c). */
enum step_result session_refuse_decision(struct session *session, const struct decision *decision);

/* An unknown name, a drained or full host: a handshake, and words of the protocol (say_refusal.c). */
extern const struct step refusal_steps[];

/* Says why, in the client's protocol, within TLS; false: it has no words for that (say_refusal.c). */
bool session_say_refusal(struct session *session, enum preface_refusal why, const char *words);

/* TLS with the client is ours, or it is a forward's: to the next step, or to joined_steps (join.c). */
enum step_result session_secured(struct session *session);

/* The server's greeting is before TLS, and the client has had none: it is passed on. */
bool session_needs_greeting(const struct session *session);

/* Goes on as a client that cancels what the connection with that key does (cancel.c). */
/*
 * The same, before its bytes are taken: if the key is none of this process's, the connection goes back to the
 * process before, which drains. True: the session has ended.
 */
bool session_return_cancel(struct session *session, const struct preface *preface, struct span key);
enum step_result session_cancel(
	struct session *session, const struct preface *preface, struct span key);

/* A PROXY header for the session's server, as its backend says: a connector_setup's write_header. */
size_t write_proxy_header(void *session, uint8_t *out, size_t size);

#endif
