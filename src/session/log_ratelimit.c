#include "session/log_ratelimit.h"

#include "base/hash.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define WINDOW_SECONDS 10.0
#define LOGGED_SINGLY  5

static void log_kind(const struct log_ratelimit_kind *kind)
{
	struct log_line line;
	log_begin(&line, LOG_INFO_LEVEL, "suppressed repeats");
	log_text(&line, "end", kind->words);
	log_text(&line, "sni", kind->name[0] ? kind->name : NULL);
	log_text(&line, "identity", kind->identity[0] ? kind->identity : NULL);
	log_number(&line, "count", kind->seen - LOGGED_SINGLY);
	log_end(&line);
}

static void log_suppressed(struct log_ratelimit *limit)
{
	struct log_ratelimit_kind *kinds = limit->kinds[0];
	for (unsigned i = 0; i < REFUSAL_CLASSES * LOG_RATELIMIT_KINDS; i++) {
		if (kinds[i].seen > LOGGED_SINGLY)
			log_kind(&kinds[i]);
		kinds[i].seen = 0;
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

/* Its own entry, or a free one; NULL when all are taken. */
static struct log_ratelimit_kind *kind_of(
	struct log_ratelimit_kind kinds[LOG_RATELIMIT_KINDS], uint64_t hash)
{
	struct log_ratelimit_kind *free_kind = NULL;
	for (unsigned i = 0; i < LOG_RATELIMIT_KINDS; i++) {
		if (kinds[i].seen > 0 && kinds[i].hash == hash)
			return &kinds[i];
		if (kinds[i].seen == 0 && !free_kind)
			free_kind = &kinds[i];
	}
	return free_kind;
}

static uint64_t hash_refusal(const struct log_refusal *refusal)
{
	struct hash_key key = {1, 0};
	key.k0 = hash_bytes(key, refusal->words, strlen(refusal->words));
	key.k0 = hash_bytes(key, refusal->name, strlen(refusal->name));
	return hash_bytes(key, refusal->identity, strlen(refusal->identity));
}

static void kind_begin(
	struct log_ratelimit_kind *kind, uint64_t hash, const struct log_refusal *refusal)
{
	kind->hash = hash;
	snprintf(kind->words, sizeof kind->words, "%s", refusal->words);
	snprintf(kind->name, sizeof kind->name, "%s", refusal->name);
	snprintf(kind->identity, sizeof kind->identity, "%s", refusal->identity);
}

/* The last entry stands for all that have no place. */
static struct log_ratelimit_kind *kind_of_rest(struct log_ratelimit_kind kinds[LOG_RATELIMIT_KINDS])
{
	struct log_ratelimit_kind *kind = &kinds[LOG_RATELIMIT_KINDS - 1];
	snprintf(kind->words, sizeof kind->words, "various");
	kind->name[0] = kind->identity[0] = '\0';
	return kind;
}

bool log_ratelimit_admits(struct log_ratelimit *limit, const struct log_refusal *refusal)
{
	struct log_ratelimit_kind *kinds = limit->kinds[refusal->class];
	uint64_t hash = hash_refusal(refusal);
	struct log_ratelimit_kind *kind = kind_of(kinds, hash);
	if (!kind && refusal->class == REFUSAL_IDENTIFIED)
		return true;
	if (!kind)
		kind = kind_of_rest(kinds);
	else if (kind->seen == 0)
		kind_begin(kind, hash, refusal);
	if (!ev_is_active(&limit->timer)) {
		ev_timer_set(&limit->timer, WINDOW_SECONDS, 0.);
		ev_timer_start(limit->loop, &limit->timer);
	}
	return ++kind->seen <= LOGGED_SINGLY;
}
