#include "daemon/load/reload.h"

#include "base/clock.h"
#include "daemon/worker/wakeup.h"
#include "sandbox/sandbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* A load must not take the processor from the workers. */
#define LOADER_NICE 10

struct reload {
	struct wakeup done;
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

/* "Permission denied" alone would send its reader to look at modes, which are right. */
static void explain_hidden(const struct reload *reload, struct report *report)
{
	for (size_t i = 0; i < reload->paths.count; i++)
		if (sandbox_hides(reload->paths.paths[i]))
			report_error(report,
				"\"%s\": outside of what the sandbox lets a running process read; a "
				"restart or an upgrade makes it readable",
				reload->paths.paths[i]);
}

static void *loader_main(void *argument)
{
	struct reload *reload = argument;
	struct report report;
	uint64_t started_us = clock_now_us();
	pthread_setname_np(pthread_self(), "loader");
	setpriority(PRIO_PROCESS, (id_t)gettid(), LOADER_NICE);
	findings_report(&reload->findings, &report);
	reload->loaded.routes = routes_load(&reload->setup, &reload->paths, &report);
	if (!reload->loaded.routes)
		explain_hidden(reload, &report);
	reload->loaded.is_passing = report_is_passing(&report);
	reload->loaded.took_us = clock_now_us() - started_us;
	wakeup_send(&reload->done);
	return NULL;
}

static void join_loader(struct reload *reload)
{
	pthread_join(reload->thread, NULL);
	reload->running = false;
}

static void reload_clear(struct reload *reload)
{
	path_set_finish(&reload->paths);
	findings_finish(&reload->findings);
	reload->loaded = (struct loaded){0};
}

static void reload_deliver(struct reload *reload)
{
	reload->loaded.paths = &reload->paths;
	reload->loaded.findings = &reload->findings;
	reload->on_done(reload->owner, &reload->loaded);
	reload_clear(reload);
}

/* There is no thread to be had now. */
static void reload_refuse(struct reload *reload, int error)
{
	struct report report;
	struct err err;
	err_set_errno(&err, error, "cannot start a thread to load with");
	findings_report(&reload->findings, &report);
	report_error(&report, "%s: %s", reload->setup.path, err.text);
	report_cause(&report, &err);
	reload->loaded.is_passing = report_is_passing(&report);
	reload_deliver(reload);
}

static void on_load_done(void *owner)
{
	struct reload *reload = owner;
	if (!reload->running)
		return;
	join_loader(reload);
	reload_deliver(reload);
	if (reload->again) {
		reload->again = false;
		reload_start(reload);
	}
}

struct reload *reload_create(struct ev_loop *loop, const struct routes_setup *setup,
	reload_done_fn *on_done, void *owner, struct err *err)
{
	struct reload *reload = calloc(1, sizeof *reload);
	if (!reload) {
		err_set(err, "out of memory");
		return NULL;
	}
	reload->setup = *setup;
	reload->on_done = on_done;
	reload->owner = owner;
	if (wakeup_open(&reload->done, loop, on_load_done, reload, err))
		return reload;
	free(reload);
	return NULL;
}

void reload_start(struct reload *reload)
{
	if (reload->running) {
		reload->again = true;
		return;
	}
	int error = pthread_create(&reload->thread, NULL, loader_main, reload);
	if (error)
		reload_refuse(reload, error);
	else
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
		join_loader(reload);
		routes_unref(reload->loaded.routes);
	}
	reload_clear(reload);
	wakeup_close(&reload->done);
	free(reload);
}
