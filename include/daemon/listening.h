/*
 * The listeners of the router and of its forwards, over reloads: those that stay are not touched,
 * because closing one drops what is queued on it; those that go are kept until no worker uses them,
 * and their names until the end, for the connections that came in by them.
 */
#ifndef GATEHOUSE_DAEMON_LISTENING_H
#define GATEHOUSE_DAEMON_LISTENING_H

#include "daemon/participant.h"
#include "daemon/worker/workers.h"

struct listening;

/* `workers` is borrowed: a listener has a socket for each of them. NULL: out of memory. */
struct listening *listening_create(const struct workers *workers);

struct participant listening_participant(struct listening *listening);

/* Those in use, lent until the next commit. */
struct listener **listening_items(const struct listening *listening, unsigned *count);

/* "127.0.0.1:443,:8443" as far as it fits; returns how many there are. */
unsigned listening_text(const struct listening *listening, char *out, size_t size);

/* By its text, as long as its name is kept; NULL: there is none. */
struct listener *listening_find(const struct listening *listening, const char *text);

/* New connections by a unix socket's path find another process, if any. */
void listening_hide(struct listening *listening);

/* Closes what no worker uses any more. True: nothing is left to close. */
bool listening_tidy(struct listening *listening);

void listening_destroy(struct listening *listening); /* NULL is fine; after the last session */

#endif
