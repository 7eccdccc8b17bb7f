/*
 * Keeps the state that administrators read (admin/state.h) up to date with the daemon: a participant
 * that is notified of every reload, and a timer while the state is shown.
 */
#ifndef GATEHOUSE_CONTROL_STATE_FEED_H
#define GATEHOUSE_CONTROL_STATE_FEED_H

#include "admin/state.h"
#include "control/drained.h"
#include "daemon/daemon.h"

struct state_feed;

/* Both are borrowed. NULL: out of memory. */
struct state_feed *state_feed_create(struct daemon *daemon, const struct drained_set *drained);

struct participant state_feed_participant(struct state_feed *feed);

struct state *state_feed_state(const struct state_feed *feed); /* lent */

/* Publishes what has changed just now. */
void state_feed_update(struct state_feed *feed);

/* What was published last; lent until the next change. */
const struct published_state *state_feed_published(const struct state_feed *feed);

/* When no thread reads the state any more. NULL is fine. */
void state_feed_destroy(struct state_feed *feed);

#endif
