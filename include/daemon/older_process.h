/*
 * After an upgrade, as long as the old process drains: connections of this process that concern one of the old
 * process are returned to it (upgrade/returned.h). Workers give them to the main thread, which has the channel.
 */
#ifndef GATEHOUSE_DAEMON_OLDER_PROCESS_H
#define GATEHOUSE_DAEMON_OLDER_PROCESS_H

#include "daemon/listening.h"
#include "daemon/worker/wakeup.h"
#include "upgrade/handover.h"

struct older_process {
	struct wakeup wakeup;
	_Atomic(struct returned_connection *) newest; /* what workers give */
	struct handover *handover;                    /* borrowed */
	struct limits *limits;                        /* borrowed: says whether there is one */
};

/* Both before workers start, and after they have ended. */
bool older_process_open(struct older_process *older, struct ev_loop *loop,
	struct handover *handover, struct limits *limits, struct err *err);
void older_process_close(struct older_process *older);

/* It drains; it has ended. */
void older_process_begin(struct older_process *older);
void older_process_end(struct older_process *older);

/*
 * The other side: starts a session of this process, which drains, with a connection that the new one has returned.
 * Takes the descriptor.
 */
void older_process_serve(const struct workers *workers, const struct listening *listening, int fd,
	const struct returned_from *from);

#endif
