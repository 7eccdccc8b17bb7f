/*
 * Refusals come in floods: a scanner, a client with a bad clock that retries for ever. The first few that
 * are alike are logged one by one, the rest of their ten seconds as one line with their number. Only so
 * many kinds are distinguished, and an anonymous client makes up as many names as it likes: each class has
 * kinds of its own, so that one does not hide another.
 */
#ifndef GATEHOUSE_SESSION_LOG_RATELIMIT_H
#define GATEHOUSE_SESSION_LOG_RATELIMIT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_RATELIMIT_KINDS 32 /* distinguished at one time, in each class */

enum refusal_class {
	REFUSAL_ANONYMOUS, /* anybody's doing */
	REFUSAL_CERTIFICATE, /* a client with a certificate that was not accepted, and may be made up */
	REFUSAL_IDENTIFIED, /* a client with a valid certificate: distinguished, however many there are */
	REFUSAL_OURS,       /* a server's doing, or a limit of ours */
};
#define REFUSAL_CLASSES (REFUSAL_OURS + 1)

/* What makes two alike; the texts may be empty. */
struct log_refusal {
	enum refusal_class class;
	const char *words, *name, *identity;
};

struct log_ratelimit_kind {
	uint64_t hash; /* of the texts */
	unsigned seen;
	char words[80], name[80], identity[80];
};

struct log_ratelimit {
	ev_timer timer;
	struct ev_loop *loop;
	struct log_ratelimit_kind kinds[REFUSAL_CLASSES][LOG_RATELIMIT_KINDS];
};

void log_ratelimit_init(struct log_ratelimit *limit, struct ev_loop *loop);

/* Logs the numbers that are left. */
void log_ratelimit_finish(struct log_ratelimit *limit);

/* Is this one to be logged? */
bool log_ratelimit_admits(struct log_ratelimit *limit, const struct log_refusal *refusal);

#endif
