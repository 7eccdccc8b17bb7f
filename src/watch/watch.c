#include "watch/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/steady_io.h"
#include "watch/poller.h"
#include "watch/watch_set.h"

#define BURST_LIMIT 10 /* times the quiet time */
#define REST_PART   5  /* of the quiet time */

struct watched_path {
	char *text;    /* absolute */
	bool is_known; /* then the others are what was last seen */
	bool is_silent;
	uint64_t facts;
};

struct watch {
	struct ev_loop *loop;
	uint64_t quiet_us;
	void (*on_change)(void *owner);
	void *owner;
	struct steady_io events;
	ev_timer quiet_timer;  /* active: a change is to be reported */
	ev_timer rest_timer;   /* active: events gather unread */
	struct poller *poller; /* of what changes without an event; NULL: nothing does */
	ev_timer poll_timer;   /* active: there is no poller, for want of memory or of a thread */
	bool has_logged_error, has_logged_silent;
	uint64_t first_touch_us, last_touch_us;
	int64_t since_ns; /* wall clock: the owner's last round of reading did not begin before */
	struct watched_path *paths;
	size_t count;
	struct watch_set set;
};

static void set_timer(struct watch *watch, ev_timer *timer, uint64_t us)
{
	ev_timer_set(timer, (double)us / 1e6, 0.);
	ev_timer_start(watch->loop, timer);
}

/* Something changed: it is reported once it has been quiet. */
static void watch_touch(struct watch *watch)
{
	watch->last_touch_us = clock_now_us();
	if (ev_is_active(&watch->quiet_timer))
		return;
	watch->first_touch_us = watch->last_touch_us;
	set_timer(watch, &watch->quiet_timer, watch->quiet_us);
}

static void log_silent(const char *path)
{
	struct log_line line;
	log_begin(&line, LOG_INFO_LEVEL, "file system may change without events, files are polled");
	log_text(&line, "path", path);
	log_number(&line, "interval_s", POLLER_SECONDS);
	log_end(&line);
}

/* Once, until all is watched again. */
static void log_polling(struct watch *watch, const struct watch_set *set)
{
	if (set->error && !watch->has_logged_error)
		log_warning("cannot watch %s: %s; examining the files every %d seconds instead",
			set->unwatched ? set->unwatched : "files", strerror(set->error),
			POLLER_SECONDS);
	if (set->silent && !watch->has_logged_silent)
		log_silent(set->silent);
	watch->has_logged_error = set->error != 0;
	watch->has_logged_silent = set->silent != NULL;
}

static void on_polled_change(void *owner)
{
	watch_touch(owner);
}

static struct poller *poller_of(struct watch *watch, size_t count)
{
	struct poller *poller = poller_create(watch->loop, count, on_polled_change, watch);
	bool ok = poller != NULL;
	for (size_t i = 0; ok && i < watch->count; i++) {
		const struct watched_path *path = &watch->paths[i];
		ok = !path->is_silent || poller_add(poller, path->text, path->facts);
	}
	if (ok && poller_start(poller))
		return poller;
	poller_stop(poller);
	return NULL;
}

/* From what has been seen just now. Without a poller the paths are examined here. */
static void watch_poll(struct watch *watch)
{
	size_t count = 0;
	for (size_t i = 0; i < watch->count; i++)
		count += watch->paths[i].is_silent;
	poller_stop(watch->poller);
	ev_timer_stop(watch->loop, &watch->poll_timer);
	watch->poller = count > 0 ? poller_of(watch, count) : NULL;
	if (count > 0 && !watch->poller)
		set_timer(watch, &watch->poll_timer, POLLER_SECONDS * UINT64_C(1000000));
}

static int64_t wall_clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool is_changed(
	const struct watch *watch, const struct watched_path *path, struct path_stamp now)
{
	return path->is_known ? now.facts != path->facts : now.changed_ns > watch->since_ns;
}

/* Finds anew what the paths lead through. True when one of them is not what it was. */
static bool watch_examine(struct watch *watch)
{
	struct watch_set set;
	bool any_changed = false;
	watch_set_init(&set, watch->set.fd);
	for (size_t i = 0; i < watch->count; i++) {
		struct watched_path *path = &watch->paths[i];
		struct path_stamp now = watch_set_add(&set, path->text);
		any_changed |= is_changed(watch, path, now);
		path->is_known = true;
		path->is_silent = now.is_silent;
		path->facts = now.facts;
	}
	log_polling(watch, &set);
	watch_set_finish(&watch->set, &set);
	watch->set = set;
	watch_poll(watch);
	return any_changed;
}

static void on_quiet(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct watch *watch = timer->data;
	uint64_t due_us = watch->last_touch_us + watch->quiet_us;
	uint64_t limit_us = watch->first_touch_us + BURST_LIMIT * watch->quiet_us;
	uint64_t end_us = due_us < limit_us ? due_us : limit_us, now_us = clock_now_us();
	(void)loop, (void)events;
	if (end_us > now_us) {
		set_timer(watch, timer, end_us - now_us);
		return;
	}
	/* New directories are watched before the owner reads in them, so that nothing is missed. */
	watch_examine(watch);
	watch->since_ns = wall_clock_ns();
	watch->on_change(watch->owner);
}

static void on_poll(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct watch *watch = timer->data;
	(void)loop;
	(void)events;
	if (watch_examine(watch))
		watch_touch(watch);
}

static void on_rest_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct watch *watch = timer->data;
	(void)loop, (void)events;
	steady_io_start(&watch->events, watch->set.fd);
}

/*
 * One buffer at a time, and a rest after it: a directory on the way may be a busy one (/tmp), whose
 * every change would wake us, and the kernel folds equal events that wait together into one.
 */
static void on_events(void *owner)
{
	_Alignas(struct inotify_event) char buffer[16384];
	struct watch *watch = owner;
	ssize_t len = read(watch->set.fd, buffer, sizeof buffer);
	steady_io_stop(&watch->events);
	set_timer(watch, &watch->rest_timer, watch->quiet_us / REST_PART);
	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *event = (const void *)(buffer + at);
		if (watch_set_concerns(&watch->set, event))
			watch_touch(watch);
		at += (ssize_t)(sizeof *event + event->len);
	}
}

struct watch *watch_create(struct ev_loop *loop, double quiet_seconds,
	void (*on_change)(void *owner), void *owner, struct err *err)
{
	struct watch *watch = calloc(1, sizeof *watch);
	if (!watch) {
		err_set(err, "cannot watch files: out of memory");
		return NULL;
	}
	watch->loop = loop;
	watch->quiet_us = (uint64_t)(quiet_seconds * 1e6);
	watch->on_change = on_change;
	watch->owner = owner;
	watch->since_ns = wall_clock_ns();
	watch_set_init(&watch->set, inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	steady_io_init(&watch->events, loop, watch->set.fd, on_events, watch);
	ev_timer_init(&watch->quiet_timer, on_quiet, 0, 0);
	ev_timer_init(&watch->poll_timer, on_poll, 0, 0);
	ev_timer_init(&watch->rest_timer, on_rest_over, 0, 0);
	watch->rest_timer.data = watch;
	watch->quiet_timer.data = watch->poll_timer.data = watch;
	if (watch->set.fd >= 0)
		steady_io_start(&watch->events, watch->set.fd);
	return watch;
}

static int compare_paths(const void *a, const void *b)
{
	const struct watched_path *one = a, *other = b;
	return strcmp(one->text, other->text);
}

static char *absolute_path(const char *path, const char *here)
{
	char *out;
	if (*path == '/')
		return strdup(path);
	return asprintf(&out, "%s/%s", here, path) < 0 ? NULL : out;
}

static void free_paths(struct watched_path *paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(paths[i].text);
	free(paths);
}

/* NULL when memory is out. */
static struct watched_path *copy_paths(const char *const *paths, size_t count)
{
	struct watched_path *copies = calloc(count + 1, sizeof *copies);
	char here[PATH_MAX];
	if (!copies || !getcwd(here, sizeof here))
		here[0] = '\0';
	for (size_t i = 0; copies && i < count; i++) {
		copies[i].text = absolute_path(paths[i], here);
		if (copies[i].text)
			continue;
		free_paths(copies, count);
		copies = NULL;
	}
	return copies;
}

/* What is in both sets keeps what is known of it. Sorted, the paths of a directory are together. */
static void adopt_paths(struct watch *watch, struct watched_path *paths, size_t count)
{
	qsort(paths, count, sizeof *paths, compare_paths);
	for (size_t i = 0; i < count; i++) {
		const struct watched_path *old = watch->count == 0
			? NULL
			: bsearch(&paths[i], watch->paths, watch->count, sizeof *paths,
				  compare_paths);
		if (!old)
			continue;
		paths[i].is_known = old->is_known;
		paths[i].facts = old->facts;
	}
	free_paths(watch->paths, watch->count);
	watch->paths = paths;
	watch->count = count;
}

void watch_replace(struct watch *watch, const char *const *paths, size_t count)
{
	struct watched_path *copies = copy_paths(paths, count);
	if (!copies) {
		log_error("cannot watch new files: out of memory");
		return;
	}
	adopt_paths(watch, copies, count);
	if (watch_examine(watch))
		watch_touch(watch);
}

void watch_destroy(struct watch *watch)
{
	if (!watch)
		return;
	steady_io_stop(&watch->events);
	ev_timer_stop(watch->loop, &watch->quiet_timer);
	ev_timer_stop(watch->loop, &watch->poll_timer);
	ev_timer_stop(watch->loop, &watch->rest_timer);
	poller_stop(watch->poller);
	if (watch->set.fd >= 0)
		close(watch->set.fd);
	watch_set_finish(&watch->set, NULL);
	free_paths(watch->paths, watch->count);
	free(watch);
}
