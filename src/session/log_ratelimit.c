#include "session/log_ratelimit.h"

#include "base/hash.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define WINDOW_SECONDS 10.0
#define LOGGED_SINGLY  5

static void log_suppressed(struct log_ratelimit *limit)
{
	for (unsigned i = 0; i < LOG_RATELIMIT_KINDS; i++) {
		struct log_ratelimit_kind *kind = &limit->kinds[i];
		if (kind->seen > LOGGED_SINGLY) {
			struct log_line line;
			log_begin(&line, LOG_INFO_LEVEL, "suppressed repeats");
			log_text(&line, "end", kind->words);
			log_text(&line, "sni", kind->name[0] ? kind->name : NULL);
			log_number(&line, "count", kind->seen - LOGGED_SINGLY);
			log_end(&line);
		}
		kind->seen = 0;
	}
}

static void on_window_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	log_suppressed(timer->data);
}

void log_ratelimit_init(struct log_ratelimit *limit, struct ev_loop *loop)
{
	memset(limit, 0, sizeof *limit);
	limit->loop = loop;
	ev_timer_init(&limit->timer, on_window_over, WINDOW_SECONDS, 0.);
	limit->timer.data = limit;
}

void log_ratelimit_finish(struct log_ratelimit *limit)
{
	ev_timer_stop(limit->loop, &limit->timer);
	log_suppressed(limit);
}

/* Its own entry, or a free one; NULL when all are taken: then the last one stands for the rest. */
static struct log_ratelimit_kind *kind_of(struct log_ratelimit *limit, uint64_t hash)
{
	struct log_ratelimit_kind *free_kind = NULL;
	for (unsigned i = 0; i < LOG_RATELIMIT_KINDS; i++) {
		struct log_ratelimit_kind *kind = &limit->kinds[i];
		if (kind->seen > 0 && kind->hash == hash)
			return kind;
		if (kind->seen == 0 && !free_kind)
			free_kind = kind;
	}
	return free_kind;
}

bool log_ratelimit_admits(struct log_ratelimit *limit, const char *words, const char *name)
{
	struct hash_key key = {1, 0};
	key.k0 = hash_bytes(key, words, strlen(words));
	uint64_t hash = hash_bytes(key, name, strlen(name));
	struct log_ratelimit_kind *kind = kind_of(limit, hash);
	if (!kind) {
		kind = &limit->kinds[LOG_RATELIMIT_KINDS - 1];
		snprintf(kind->words, sizeof kind->words, "various");
		kind->name[0] = '\0';
	} else if (kind->seen == 0) {
		kind->hash = hash;
		snprintf(kind->words, sizeof kind->words, "%s", words);
		snprintf(kind->name, sizeof kind->name, "%s", name);
	}
	if (!ev_is_active(&limit->timer)) {
		ev_timer_set(&limit->timer, WINDOW_SECONDS, 0.);
		ev_timer_start(limit->loop, &limit->timer);
	}
	return ++kind->seen <= LOGGED_SINGLY;
}
