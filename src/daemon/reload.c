#include "daemon/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "sandbox/sandbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A load must not take the processor from those who serve. */
#define LOADER_NICE 10

struct reload {
	struct ev_loop *loop;
	ev_async done;
	struct routes_setup setup;
	reload_done_fn *on_done;
	void *owner;
	pthread_t thread;
	bool running, again;
	/* the thread's, until it has sent `done` */
	struct loaded loaded;
	struct path_set paths;
	struct findings findings;
};

static void keep_finding(struct report *report, enum severity severity, const char *text)
{
	struct findings *findings = report->owner;
	if (findings->count == findings->room) {
		size_t room = findings->room ? findings->room * 2 : 16;
		struct finding *more = realloc(findings->items, room * sizeof *more);
		if (!more)
			return;
		findings->items = more;
		findings->room = room;
	}
	char *copy = arena_copy(&findings->arena, text, strlen(text));
	if (copy)
		findings->items[findings->count++] = (struct finding){severity, copy};
}

void findings_report(struct findings *findings, struct report *report)
{
	*report = (struct report){.on_finding = keep_finding, .owner = findings};
}

void findings_finish(struct findings *findings)
{
	free(findings->items);
	arena_finish(&findings->arena);
	*findings = (struct findings){0};
}

/* "Permission denied" alone would send its reader to look at modes, which are right. */
static void explain_hidden(const struct reload *reload, struct report *report)
{
	for (size_t i = 0; i < reload->paths.count; i++)
		if (sandbox_hides(reload->paths.paths[i]))
			report_error(report,
				"\"%s\": outside of what the sandbox lets a running gatehouse read; a "
				"restart or an upgrade makes it readable",
				reload->paths.paths[i]);
}

static void *load(void *argument)
{
	struct reload *reload = argument;
	struct report report;
	uint64_t began = clock_now_us();
	pthread_setname_np(pthread_self(), "loader");
	setpriority(PRIO_PROCESS, (id_t)gettid(), LOADER_NICE);
	findings_report(&reload->findings, &report);
	reload->loaded.routes = routes_load(&reload->setup, &reload->paths, &report);
	if (!reload->loaded.routes)
		explain_hidden(reload, &report);
	reload->loaded.took_us = clock_now_us() - began;
	ev_async_send(reload->loop, &reload->done);
	return NULL;
}

static void finish_load(struct reload *reload)
{
	pthread_join(reload->thread, NULL);
	reload->running = false;
}

static void clear(struct reload *reload)
{
	path_set_finish(&reload->paths);
	findings_finish(&reload->findings);
	reload->loaded = (struct loaded){0};
}

static void on_load_done(struct ev_loop *loop, ev_async *done, int events)
{
	struct reload *reload = done->data;
	(void)loop, (void)events;
	if (!reload->running)
		return;
	finish_load(reload);
	reload->loaded.paths = &reload->paths;
	reload->loaded.findings = &reload->findings;
	reload->on_done(reload->owner, &reload->loaded);
	clear(reload);
	if (reload->again) {
		reload->again = false;
		reload_start(reload);
	}
}

struct reload *reload_create(struct ev_loop *loop, const struct routes_setup *setup,
	reload_done_fn *on_done, void *owner)
{
	struct reload *reload = calloc(1, sizeof *reload);
	if (!reload)
		return NULL;
	reload->loop = loop;
	reload->setup = *setup;
	reload->on_done = on_done;
	reload->owner = owner;
	ev_async_init(&reload->done, on_load_done);
	reload->done.data = reload;
	ev_async_start(loop, &reload->done);
	return reload;
}

void reload_start(struct reload *reload)
{
	if (reload->running) {
		reload->again = true;
		return;
	}
	int error = pthread_create(&reload->thread, NULL, load, reload);
	if (error) {
		log_error("cannot reload: %s", strerror(error));
		return;
	}
	reload->running = true;
}

bool reload_is_running(const struct reload *reload)
{
	return reload->running;
}

void reload_destroy(struct reload *reload)
{
	if (!reload)
		return;
	if (reload->running) {
		finish_load(reload);
		routes_unref(reload->loaded.routes);
	}
	clear(reload);
	ev_async_stop(reload->loop, &reload->done);
	free(reload);
}
