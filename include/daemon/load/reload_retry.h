/*
 * When a refused reload is tried again: if what refused it passes (base/err.h), after 1, 2, 4 ... 60
 * seconds, until one is not refused for such a reason. What is wrong in a file is not tried again: the
 * change that mends it is noticed.
 */
#ifndef GATEHOUSE_DAEMON_LOAD_RELOAD_RETRY_H
#define GATEHOUSE_DAEMON_LOAD_RELOAD_RETRY_H

#include <ev.h>
#include <stdbool.h>

#define RELOAD_RETRY_MAX_SECONDS 60

/* In its owner's memory. */
struct reload_retry {
	struct ev_loop *loop;
	ev_timer timer;
	void (*on_due)(void *owner);
	void *owner;
	unsigned
		seconds; /* from the last refusal to the next try; 0: the last was not refused so */
};

void reload_retry_init(
	struct reload_retry *retry, struct ev_loop *loop, void (*on_due)(void *owner), void *owner);

/* A reload was refused: returns the seconds until the next, or 0: there is none. */
unsigned reload_retry_plan(struct reload_retry *retry, bool is_passing);

/* The last one was refused for a reason that passes, and the next is its repetition. */
bool reload_retry_is_under_way(const struct reload_retry *retry);

/* A reload was not refused, or a new one has a cause of its own: the next refusal is a first one. */
void reload_retry_cancel(struct reload_retry *retry);

#endif
