/*
 * The administrator's HTTP (libmicrohttpd), on a thread of its own: requests, however slow and
 * however many, cost the workers nothing but processor time, and that at a lower priority. GET and
 * HEAD alone; a connection that is silent for ten seconds is closed, and so is the one that has been
 * silent longest when there are too many.
 */
#ifndef GATEHOUSE_ADMIN_HTTP_H
#define GATEHOUSE_ADMIN_HTTP_H

#include "admin/state.h"
#include "base/err.h"
#include "net/listener.h"

/* What is served there; both may be on one address. */
enum { HTTP_HEALTH = 1 << 0, HTTP_METRICS = 1 << 1 };

struct http;

/* Listens ("host:port", "unix:/path") and does not serve yet. */
struct http *http_open(const char *listen, struct err *err);
const char *http_listens_on(const struct http *http);

/* `state` is borrowed. Called again, it changes `parts` alone. */
bool http_serve(struct http *http, unsigned parts, struct state *state, struct err *err);

/* What it listens with; and an end to listening: open connections are answered all the same. */
struct listener *http_listener(struct http *http);
void http_stop_listening(struct http *http);

/* NULL is fine. Returns when its thread has ended. */
void http_close(struct http *http);

#endif
