/*
 * Callers of "reload" and "upgrade", who wait for the outcome: at most one of each. A participant
 * that answers them; it stands behind the state, whose facts it gives.
 */
#ifndef GATEHOUSE_CONTROL_WAITING_H
#define GATEHOUSE_CONTROL_WAITING_H

#include "control/control.h"
#include "control/state_feed.h"

struct waiting {
	const struct state_feed *feed;
	struct control_call *reload; /* NULL: none waits */
	unsigned earlier;            /* outcomes that come before that of its reload */
	struct control_call *upgrade;
};

void waiting_init(struct waiting *waiting, const struct state_feed *feed);
struct participant waiting_participant(struct waiting *waiting);

bool waiting_has_reload(const struct waiting *waiting);
void waiting_add_reload(struct waiting *waiting, struct control_call *call, unsigned earlier);
void waiting_add_upgrade(struct waiting *waiting, struct control_call *call);

#endif
