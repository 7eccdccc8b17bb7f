#include "session/log_ratelimit.h"

#include "base/hash.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define WINDOW_SECONDS 10.0
#define TOLD_SINGLY    5

static void summarise(struct log_ratelimit *flood)
{
	for (unsigned i = 0; i < LOG_RATELIMIT_KINDS; i++) {
		struct log_ratelimit_kind *kind = &flood->kinds[i];
		if (kind->seen > TOLD_SINGLY) {
			struct log_line line;
			log_begin(&line, LOG_INFO_LEVEL, "more of the same");
			log_text(&line, "reason", kind->reason);
			log_text(&line, "sni", kind->name[0] ? kind->name : NULL);
			log_number(&line, "count", kind->seen - TOLD_SINGLY);
			log_end(&line);
		}
		kind->seen = 0;
	}
}

static void on_window_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	summarise(timer->data);
}

void log_ratelimit_init(struct log_ratelimit *flood, struct ev_loop *loop)
{
	memset(flood, 0, sizeof *flood);
	flood->loop = loop;
	ev_timer_init(&flood->timer, on_window_over, WINDOW_SECONDS, 0.);
	flood->timer.data = flood;
}

void log_ratelimit_finish(struct log_ratelimit *flood)
{
	ev_timer_stop(flood->loop, &flood->timer);
	summarise(flood);
}

/* Its own place, or a free one; NULL when all are taken: then the last one speaks for the rest. */
static struct log_ratelimit_kind *kind_of(struct log_ratelimit *flood, uint64_t hash)
{
	struct log_ratelimit_kind *free_kind = NULL;
	for (unsigned i = 0; i < LOG_RATELIMIT_KINDS; i++) {
		struct log_ratelimit_kind *kind = &flood->kinds[i];
		if (kind->seen > 0 && kind->hash == hash)
			return kind;
		if (kind->seen == 0 && !free_kind)
			free_kind = kind;
	}
	return free_kind;
}

bool log_ratelimit_admits(struct log_ratelimit *flood, const char *reason, const char *name)
{
	struct hash_key key = {1, 0};
	key.k0 = hash_bytes(key, reason, strlen(reason));
	uint64_t hash = hash_bytes(key, name, strlen(name));
	struct log_ratelimit_kind *kind = kind_of(flood, hash);
	if (!kind) {
		kind = &flood->kinds[LOG_RATELIMIT_KINDS - 1];
		snprintf(kind->reason, sizeof kind->reason, "various");
		kind->name[0] = '\0';
	} else if (kind->seen == 0) {
		kind->hash = hash;
		snprintf(kind->reason, sizeof kind->reason, "%s", reason);
		snprintf(kind->name, sizeof kind->name, "%s", name);
	}
	if (!ev_is_active(&flood->timer)) {
		ev_timer_set(&flood->timer, WINDOW_SECONDS, 0.);
		ev_timer_start(flood->loop, &flood->timer);
	}
	return ++kind->seen <= TOLD_SINGLY;
}
