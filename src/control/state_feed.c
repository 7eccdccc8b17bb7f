#include "control/state_feed.h"

#include "base/clock.h"
#include "base/version.h"

#include <stdio.h>
#include <stdlib.h>

struct state_feed {
	struct daemon *daemon;
	const struct drained_set *drained;
	struct state *state;
	struct published_state published;
	const struct counters **counters; /* allocated, until the state takes them over */
	ev_timer tick;
};

void state_feed_update(struct state_feed *feed)
{
	struct published_state *published = &feed->published;
	const struct daemon *daemon = feed->daemon;
	published->routes = daemon_routes(daemon);
	published->is_drained = daemon_is_drained(daemon);
	published->generations = daemon_snapshot_count(daemon);
	published->tick_us = clock_now_us();
	published->listeners =
		daemon_listeners(daemon, published->listens, sizeof published->listens);
	snprintf(published->drained, sizeof published->drained, "%s",
		published->is_drained ? "all" : "");
	drained_text(feed->drained, published->drained, sizeof published->drained);
	state_publish(feed->state, published);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct state_feed *feed = timer->data;
	(void)loop, (void)events;
	state_feed_update(feed);
	state_remember(feed->state);
}

struct state_feed *state_feed_create(struct daemon *daemon, const struct drained_set *drained)
{
	struct state_feed *feed = calloc(1, sizeof *feed);
	if (!feed || !(feed->state = state_create())) {
		free(feed);
		return NULL;
	}
	feed->daemon = daemon;
	feed->drained = drained;
	feed->published.reload.at = feed->published.reload.succeeded_at = time(NULL);
	ev_timer_init(&feed->tick, on_tick, 0., HISTORY_SECONDS);
	feed->tick.data = feed;
	return feed;
}

struct state *state_feed_state(const struct state_feed *feed)
{
	return feed->state;
}

const struct published_state *state_feed_published(const struct state_feed *feed)
{
	return &feed->published;
}

/* Participation. */

/* At the start alone: the workers are the same from then on. */
static bool feed_prepare(void *owner, const struct config *next, struct report *report)
{
	struct state_feed *feed = owner;
	(void)next;
	if (feed->counters || state_of_setup(feed->state)->counters)
		return true;
	feed->counters = calloc(daemon_worker_count(feed->daemon), sizeof *feed->counters);
	if (!feed->counters)
		report_no_memory(report, NULL);
	return feed->counters != NULL;
}

static void set_up_state(struct state_feed *feed)
{
	struct state_setup setup = {.version = GATEHOUSE_VERSION,
		.path = daemon_path(feed->daemon),
		.workers = daemon_worker_count(feed->daemon),
		.table = daemon_route_stats(feed->daemon),
		.counters = feed->counters};
	for (unsigned i = 0; i < setup.workers; i++)
		setup.counters[i] = daemon_counters(feed->daemon, i);
	feed->counters = NULL;
	state_set_up(feed->state, &setup);
}

static void feed_commit(void *owner, const struct reload_event *event)
{
	struct state_feed *feed = owner;
	struct ev_loop *loop = daemon_loop(feed->daemon);
	if (feed->counters)
		set_up_state(feed);
	state_feed_update(feed);
	if (!event->counting) {
		ev_timer_stop(loop, &feed->tick);
	} else if (!ev_is_active(&feed->tick)) {
		state_remember(feed->state);
		ev_timer_again(loop, &feed->tick);
	}
}

static void note_success(struct state_feed *feed, enum reload_outcome outcome, uint64_t took_us)
{
	struct reload_facts *reload = &feed->published.reload;
	reload->done++;
	reload->at = reload->succeeded_at = time(NULL);
	reload->took_us = took_us;
	reload->outcome = outcome;
	reload->retry_seconds = 0;
	reload->change = (struct reload_difference){0};
	reload->error[0] = '\0';
}

static void feed_on_reloaded(void *owner, const struct reload_event *event)
{
	struct state_feed *feed = owner;
	const struct reload_change *change = &event->change;
	note_success(feed, RELOAD_DONE, event->took_us);
	feed->published.reload.change = (struct reload_difference){
		.added = change->hosts.added,
		.removed = change->hosts.removed,
		.changed = change->hosts.changed,
		.listeners_opened = change->listeners_opened,
		.listeners_closed = change->listeners_closed,
		.settings_changed = change->settings_changed,
	};
	state_feed_update(feed);
}

static void feed_on_unchanged(void *owner, uint64_t took_us)
{
	note_success(owner, RELOAD_UNCHANGED, took_us);
	state_feed_update(owner);
}

static const char *first_error(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].severity == SEVERITY_ERROR)
			return findings->items[i].text;
	return "";
}

static void feed_on_refused(void *owner, const struct findings *findings, unsigned retry_seconds)
{
	struct state_feed *feed = owner;
	struct reload_facts *reload = &feed->published.reload;
	reload->failed++;
	reload->at = time(NULL);
	reload->outcome = RELOAD_REFUSED;
	reload->retry_seconds = retry_seconds;
	snprintf(reload->error, sizeof reload->error, "%s", first_error(findings));
	state_feed_update(feed);
}

static void feed_on_stopping(void *owner)
{
	struct state_feed *feed = owner;
	feed->published.is_stopping = true;
	state_feed_update(feed);
}

struct participant state_feed_participant(struct state_feed *feed)
{
	return (struct participant){.name = "state",
		.owner = feed,
		.while_draining = true,
		.prepare = feed_prepare,
		.commit = feed_commit,
		.on_reloaded = feed_on_reloaded,
		.on_reload_unchanged = feed_on_unchanged,
		.on_reload_refused = feed_on_refused,
		.on_stopping = feed_on_stopping};
}

void state_feed_destroy(struct state_feed *feed)
{
	if (!feed)
		return;
	ev_timer_stop(daemon_loop(feed->daemon), &feed->tick);
	free(feed->counters);
	state_destroy(feed->state);
	free(feed);
}
