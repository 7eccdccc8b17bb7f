/*
 * Refusals come in floods: a scanner, a client with a bad clock that retries for ever. The first few that
 * are alike are logged one by one, the rest of their ten seconds as one line with their number.
 */
#ifndef GATEHOUSE_SESSION_LOG_RATELIMIT_H
#define GATEHOUSE_SESSION_LOG_RATELIMIT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_RATELIMIT_KINDS 32 /* distinguished at one time */

struct log_ratelimit_kind {
	uint64_t hash; /* of the words and the name, which make two alike */
	unsigned seen;
	char words[80], name[80];
};

struct log_ratelimit {
	ev_timer timer;
	struct ev_loop *loop;
	struct log_ratelimit_kind kinds[LOG_RATELIMIT_KINDS];
};

void log_ratelimit_init(struct log_ratelimit *limit, struct ev_loop *loop);

/* Logs the numbers that are left. */
void log_ratelimit_finish(struct log_ratelimit *limit);

/* Is this one to be logged? `name` may be empty. */
bool log_ratelimit_admits(struct log_ratelimit *limit, const char *words, const char *name);

#endif
