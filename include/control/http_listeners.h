/*
 * The participant that serves health and metrics (admin/http.h): up to two listeners, one where both
 * are on the same address.
 */
#ifndef GATEHOUSE_CONTROL_HTTP_LISTENERS_H
#define GATEHOUSE_CONTROL_HTTP_LISTENERS_H

#include "admin/state.h"
#include "daemon/participant.h"

struct http_listeners;

/* `state` is borrowed. NULL: out of memory. */
struct http_listeners *http_listeners_create(struct state *state);
struct participant http_listeners_participant(struct http_listeners *listeners);

/* Returns when their threads have ended. NULL is fine. */
void http_listeners_destroy(struct http_listeners *listeners);

#endif
