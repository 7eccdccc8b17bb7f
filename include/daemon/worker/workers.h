/* All workers, as one set: what is ordered is ordered of each. The main thread's. */
#ifndef GATEHOUSE_DAEMON_WORKER_WORKERS_H
#define GATEHOUSE_DAEMON_WORKER_WORKERS_H

#include "daemon/worker/worker.h"

struct workers;

/* None yet; `on_all_ended` is called on the loop after the last thread has ended. NULL with
 * `err`. */
struct workers *workers_create(
	struct ev_loop *loop, void (*on_all_ended)(void *owner), void *owner, struct err *err);

/* How many there are to be, from here on; before they start. */
void workers_set_count(struct workers *workers, unsigned count);
unsigned workers_count(const struct workers *workers);

/* Creates them and starts their threads, which wait for orders. `limits` is borrowed. */
bool workers_start(struct workers *workers, struct limits *limits, struct err *err);

/* `index` is below workers_count; lent. Only after a start. */
struct worker *workers_at(const struct workers *workers, unsigned index);

void workers_set_mode(struct workers *workers, enum worker_mode mode);
enum worker_mode workers_mode(const struct workers *workers);
void workers_revalidate(struct workers *workers);

bool workers_settled(const struct workers *workers); /* all orders are carried out */
unsigned workers_sessions(const struct workers *workers);

/* Has each given a sign of life since the last ping? */
bool workers_have_answered(const struct workers *workers);
void workers_ping(struct workers *workers);

/* Stops those that still run, waits for them and frees them. NULL is fine. */
void workers_destroy(struct workers *workers);

#endif
