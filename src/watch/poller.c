#include "watch/poller.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "net/steady_io.h"
#include "watch/watch_set.h"

/* Examining must not take the processor from those who serve. */
#define POLLER_NICE 10

struct polled_path {
	char *text;
	uint64_t facts;
};

/* Owned by the loop's thread and, once it is started, by its own too: the last of them frees it. */
struct poller {
	/* the loop's */
	struct steady_io changed;
	void (*on_change)(void *owner);
	void *owner;
	/* the thread's, after its start */
	struct polled_path *paths;
	size_t count;
	/* of both */
	pthread_mutex_t mutex;
	pthread_cond_t stopped;
	bool is_started, is_stopped; /* stopped: `changed` is closed */
};

static void poller_free(struct poller *poller)
{
	for (size_t i = 0; i < poller->count; i++)
		free(poller->paths[i].text);
	free(poller->paths);
	pthread_cond_destroy(&poller->stopped);
	pthread_mutex_destroy(&poller->mutex);
	free(poller);
}

static bool poller_examine(struct poller *poller)
{
	struct watch_set set;
	bool any_changed = false;
	watch_set_init(&set, -1);
	for (size_t i = 0; i < poller->count; i++) {
		struct polled_path *path = &poller->paths[i];
		uint64_t facts = watch_set_add(&set, path->text).facts;
		any_changed |= facts != path->facts;
		path->facts = facts;
	}
	watch_set_finish(&set, NULL);
	return any_changed;
}

/* True after the rest, false when the poller is stopped. */
static bool poller_rest(struct poller *poller)
{
	struct timespec end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += POLLER_SECONDS;
	while (!poller->is_stopped &&
		pthread_cond_timedwait(&poller->stopped, &poller->mutex, &end) == 0)
		;
	return !poller->is_stopped;
}

static void *poller_main(void *argument)
{
	static const eventfd_t one = 1;
	struct poller *poller = argument;
	pthread_setname_np(pthread_self(), "poller");
	setpriority(PRIO_PROCESS, (id_t)gettid(), POLLER_NICE);
	pthread_mutex_lock(&poller->mutex);
	while (poller_rest(poller)) {
		pthread_mutex_unlock(&poller->mutex);
		bool any_changed = poller_examine(poller);
		pthread_mutex_lock(&poller->mutex);
		if (any_changed && !poller->is_stopped)
			(void)!write(poller->changed.io.fd, &one, sizeof one);
	}
	pthread_mutex_unlock(&poller->mutex);
	poller_free(poller);
	return NULL;
}

static void on_changed(void *owner)
{
	struct poller *poller = owner;
	eventfd_t count;
	(void)!read(poller->changed.io.fd, &count, sizeof count);
	poller->on_change(poller->owner);
}

static void init_locks(struct poller *poller)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&poller->stopped, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&poller->mutex, NULL);
}

struct poller *poller_create(
	struct ev_loop *loop, size_t count, void (*on_change)(void *owner), void *owner)
{
	struct poller *poller = calloc(1, sizeof *poller);
	struct polled_path *paths = calloc(count, sizeof *paths);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!poller || !paths || fd < 0) {
		free(poller);
		free(paths);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	poller->paths = paths;
	poller->on_change = on_change;
	poller->owner = owner;
	init_locks(poller);
	steady_io_init(&poller->changed, loop, fd, on_changed, poller);
	steady_io_start(&poller->changed, fd);
	return poller;
}

bool poller_add(struct poller *poller, const char *path, uint64_t facts)
{
	struct polled_path added = {strdup(path), facts};
	if (!added.text)
		return false;
	poller->paths[poller->count++] = added;
	return true;
}

bool poller_start(struct poller *poller)
{
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	poller->is_started = pthread_create(&thread, &attributes, poller_main, poller) == 0;
	pthread_attr_destroy(&attributes);
	return poller->is_started;
}

void poller_stop(struct poller *poller)
{
	if (!poller)
		return;
	steady_io_stop(&poller->changed);
	pthread_mutex_lock(&poller->mutex);
	close(poller->changed.io.fd);
	poller->is_stopped = true;
	bool is_shared = poller->is_started;
	pthread_cond_signal(&poller->stopped);
	pthread_mutex_unlock(&poller->mutex);
	if (!is_shared)
		poller_free(poller);
}
