/*
 * Refusals come in floods: a scanner, a client with a bad clock that tries for ever. The first few
 * that are alike are logged one by one, the rest of their ten seconds as one line with their number.
 */
#ifndef GATEHOUSE_SESSION_LOG_RATELIMIT_H
#define GATEHOUSE_SESSION_LOG_RATELIMIT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_RATELIMIT_KINDS 32 /* told apart at one time */

struct log_ratelimit_kind {
	uint64_t hash; /* of what makes two alike */
	unsigned seen;
	char reason[80], name[80];
};

struct log_ratelimit {
	ev_timer timer;
	struct ev_loop *loop;
	struct log_ratelimit_kind kinds[LOG_RATELIMIT_KINDS];
};

void log_ratelimit_init(struct log_ratelimit *flood, struct ev_loop *loop);

/* Tells what is still to be told. */
void log_ratelimit_finish(struct log_ratelimit *flood);

/* Is this one to be logged? `name` may be empty. */
bool log_ratelimit_admits(struct log_ratelimit *flood, const char *reason, const char *name);

#endif
