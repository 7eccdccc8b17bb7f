/* The participant that gives every worker the new snapshot and the listeners; the last to commit. */
#ifndef GATEHOUSE_DAEMON_WORKER_ORDERS_H
#define GATEHOUSE_DAEMON_WORKER_ORDERS_H

#include "daemon/listening.h"
#include "daemon/participant.h"
#include "daemon/worker/workers.h"

struct worker_orders;

/* Both are borrowed; NULL: out of memory. */
struct worker_orders *worker_orders_create(
	struct workers *workers, const struct listening *listening);
struct participant worker_orders_participant(struct worker_orders *orders);
void worker_orders_destroy(struct worker_orders *orders); /* NULL is fine */

#endif
