/*
 * Refusals come in floods: a scanner, a client with a bad clock that tries for ever. The first few
 * that are alike are logged one by one, the rest of their ten seconds as one line with their number.
 */
#ifndef GATEHOUSE_SESSION_LOG_RATELIMIT_H
#define GATEHOUSE_SESSION_LOG_RATELIMIT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#define FLOOD_KINDS 32 /* told apart at one time */

struct flood_kind {
	uint64_t hash; /* of what makes two alike */
	unsigned seen;
	char reason[80], name[80];
};

struct flood {
	ev_timer timer;
	struct ev_loop *loop;
	struct flood_kind kinds[FLOOD_KINDS];
};

void flood_init(struct flood *flood, struct ev_loop *loop);

/* Tells what is still to be told. */
void flood_finish(struct flood *flood);

/* Is this one to be logged? `name` may be empty. */
bool flood_admits(struct flood *flood, const char *reason, const char *name);

#endif
