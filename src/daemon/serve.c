#include "daemon/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/commands.h"
#include "daemon/cpus.h"
#include "daemon/descriptors.h"
#include "daemon/systemd.h"
#include "net/inherited.h"
#include "sandbox/sandbox.h"
#include "sandbox/user.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUIET_SECONDS        0.2 /* an editor's several steps are one change */
#define HOUSEKEEPING_SECONDS 0.5

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	struct gatehouse *gatehouse = report->owner;
	if (severity == SEVERITY_ERROR)
		handover_failed(&gatehouse->handover, text);
	fprintf(stderr, "%s%s\n", severity == SEVERITY_WARNING ? "warning: " : "", text);
}

/* While something is left to tidy up the timer runs; then it sleeps. */
static void tidy_soon(struct gatehouse *gatehouse)
{
	if (!ev_is_active(&gatehouse->housekeeping))
		ev_timer_again(gatehouse->loop, &gatehouse->housekeeping);
}

static void on_housekeeping(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct gatehouse *gatehouse = timer->data;
	(void)events;
	publish_housekeeping(gatehouse);
	if (!publish_is_settled(gatehouse))
		return;
	ev_timer_stop(loop, timer);
	malloc_trim(0); /* a table of many hosts is gone, or one that was not good */
}

static void watch_paths(struct gatehouse *gatehouse, const struct path_set *paths, bool keep_old)
{
	if (!keep_old)
		path_set_finish(&gatehouse->watched);
	for (size_t i = 0; i < paths->count; i++)
		path_set_add(&gatehouse->watched, paths->paths[i]);
	watch_replace(gatehouse->watch, gatehouse->watched.paths, gatehouse->watched.count);
}

/* After a failure the files of before are watched too: mending any of them is worth a try. */
static void on_loaded(void *owner, const struct loaded *loaded)
{
	struct gatehouse *gatehouse = owner;
	watch_paths(gatehouse, loaded->paths, loaded->routes == NULL);
	if (gatehouse->mode != WORKER_SERVE) {
		tls_store_end(gatehouse->store, false);
		routes_unref(loaded->routes);
		return;
	}
	publish(gatehouse, loaded);
	tidy_soon(gatehouse);
}

/* In an upgrade the new one reads what there is; should it fail, that is made up for. */
void serve_reload(struct gatehouse *gatehouse)
{
	gatehouse->reload_is_due = upgrade_is_running(gatehouse->upgrade);
	if (gatehouse->mode == WORKER_SERVE && !gatehouse->reload_is_due)
		reload_start(gatehouse->reload);
}

static void on_files_changed(void *owner)
{
	serve_reload(owner);
}

static void on_sighup(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct gatehouse *gatehouse = signal->data;
	(void)loop, (void)events;
	if (gatehouse->mode != WORKER_SERVE)
		return;
	systemd_notify_reloading();
	serve_reload(gatehouse);
	if (gatehouse->reload_is_due)
		systemd_notify("READY=1");
}

static unsigned count_sessions(const struct gatehouse *gatehouse)
{
	unsigned count = 0;
	for (unsigned i = 0; i < gatehouse->worker_count; i++)
		count += worker_sessions(gatehouse->workers[i]);
	return count;
}

static void stop_now(struct gatehouse *gatehouse, const char *why)
{
	log_warning("%s: %u connections are closed", why, count_sessions(gatehouse));
	tell_workers(gatehouse, WORKER_STOP);
}

static void on_drain_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	stop_now(timer->data, "drain_timeout");
}

void serve_drain(struct gatehouse *gatehouse)
{
	uint64_t ms = routes_config(gatehouse->routes)->proxy.drain_timeout_ms;
	struct log_line line;
	systemd_notify("STOPPING=1\nSTATUS=draining %u connections", count_sessions(gatehouse));
	log_begin(&line, LOG_INFO_LEVEL, "draining");
	log_number(&line, "connections", count_sessions(gatehouse));
	log_end(&line);
	for (unsigned i = 0; i < gatehouse->listener_count; i++)
		listener_hide(gatehouse->listeners[i]);
	admin_stopping(gatehouse->admin);
	tell_workers(gatehouse, WORKER_DRAIN);
	if (ms == 0) {
		stop_now(gatehouse, "no drain_timeout");
		return;
	}
	ev_timer_set(&gatehouse->drain, (double)ms / 1000, 0.);
	ev_timer_start(gatehouse->loop, &gatehouse->drain);
}

static void on_stop_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct gatehouse *gatehouse = signal->data;
	(void)loop, (void)events;
	upgrade_cancel(gatehouse->upgrade);
	if (gatehouse->mode == WORKER_SERVE)
		serve_drain(gatehouse);
	else
		stop_now(gatehouse, "second signal");
}

static void on_upgrade_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct err err;
	(void)loop, (void)events;
	if (!upgrade_start(signal->data, &err))
		log_error("no upgrade: %s", err.text);
}

static void on_worker_ended(struct ev_loop *loop, ev_async *async, int events)
{
	struct gatehouse *gatehouse = async->data;
	(void)events;
	for (unsigned i = 0; i < gatehouse->worker_count; i++)
		if (!worker_ended(gatehouse->workers[i]))
			return;
	ev_break(loop, EVBREAK_ALL);
}

static void on_rotation(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct gatehouse *gatehouse = timer->data;
	(void)loop, (void)events;
	tickets_rotate(tls_store_tickets(gatehouse->store));
}

/* A sign of life is given when every worker has given its own since the last. */
static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct gatehouse *gatehouse = timer->data;
	(void)loop, (void)events;
	for (unsigned i = 0; i < gatehouse->worker_count; i++)
		if (!worker_answered(gatehouse->workers[i]))
			return;
	systemd_notify("WATCHDOG=1\nSTATUS=%u connections, %zu hosts", count_sessions(gatehouse),
		routes_summary(gatehouse->routes).hosts);
	for (unsigned i = 0; i < gatehouse->worker_count; i++)
		worker_ping(gatehouse->workers[i]);
}

static void start_signal(struct gatehouse *gatehouse, ev_signal *watcher, int number,
	void (*on_signal)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(watcher, on_signal, number);
	watcher->data = gatehouse;
	ev_signal_start(gatehouse->loop, watcher);
}

static void start_timers(struct gatehouse *gatehouse)
{
	double watchdog = (double)systemd_watchdog_us() / 1e6 / 3;
	ev_timer_init(&gatehouse->housekeeping, on_housekeeping, 0., HOUSEKEEPING_SECONDS);
	ev_timer_init(&gatehouse->drain, on_drain_over, 0., 0.);
	ev_timer_init(
		&gatehouse->rotation, on_rotation, TICKET_PERIOD_SECONDS, TICKET_PERIOD_SECONDS);
	ev_timer_init(&gatehouse->watchdog, on_watchdog, watchdog, watchdog);
	gatehouse->housekeeping.data = gatehouse->drain.data = gatehouse->rotation.data =
		gatehouse->watchdog.data = gatehouse;
	ev_timer_start(gatehouse->loop, &gatehouse->rotation);
	if (watchdog > 0)
		ev_timer_start(gatehouse->loop, &gatehouse->watchdog);
}

static void start_events(struct gatehouse *gatehouse)
{
	start_signal(gatehouse, &gatehouse->on_hup, SIGHUP, on_sighup);
	start_signal(gatehouse, &gatehouse->on_term, SIGTERM, on_stop_signal);
	start_signal(gatehouse, &gatehouse->on_int, SIGINT, on_stop_signal);
	start_signal(gatehouse, &gatehouse->on_usr2, SIGUSR2, on_upgrade_signal);
	start_timers(gatehouse);
	ev_async_init(&gatehouse->worker_ended, on_worker_ended);
	gatehouse->worker_ended.data = gatehouse;
	ev_async_start(gatehouse->loop, &gatehouse->worker_ended);
}

/*
 * A TLS handshake takes and frees buffers of 16 KiB again and again; a heap that shrinks and grows
 * with each of them spends its time in the kernel.
 */
static void keep_heap_steady(void)
{
	mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
	mallopt(M_TOP_PAD, 256 * 1024);
}

static bool start_workers(struct gatehouse *gatehouse, struct err *err)
{
	descriptors_share(&gatehouse->limits, gatehouse->worker_count);
	for (unsigned i = 0; i < gatehouse->worker_count; i++) {
		gatehouse->workers[i] = worker_create(
			i, &gatehouse->limits, gatehouse->loop, &gatehouse->worker_ended, err);
		if (!gatehouse->workers[i] || !worker_start(gatehouse->workers[i], err)) {
			gatehouse->worker_count = i + (gatehouse->workers[i] != NULL);
			return false;
		}
	}
	return true;
}

static void tell_systemd(void *owner)
{
	const struct gatehouse *gatehouse = owner;
	systemd_notify(
		"READY=1\nSTATUS=serving %zu hosts", routes_summary(gatehouse->routes).hosts);
}

/* In an upgrade systemd hears of it when the one before has told it whom to listen to. */
static void tell_ready(struct gatehouse *gatehouse)
{
	inherited_settle();
	if (handover_is_awaited(&gatehouse->handover))
		handover_ready(&gatehouse->handover, gatehouse->loop, tell_systemd, gatehouse);
	else
		tell_systemd(gatehouse);
}

static void log_ready(const struct gatehouse *gatehouse)
{
	struct routes_summary summary = routes_summary(gatehouse->routes);
	struct log_line line;
	char listens[512] = "";
	for (unsigned i = 0; i < gatehouse->listener_count; i++) {
		size_t used = strlen(listens);
		snprintf(listens + used, sizeof listens - used, "%s%s", i ? "," : "",
			gatehouse->listeners[i]->text);
	}
	log_begin(&line, LOG_INFO_LEVEL, "ready");
	log_text(&line, "version", GATEHOUSE_VERSION);
	log_number(&line, "pid", getpid());
	log_text(&line, "listen", listens);
	log_number(&line, "workers", gatehouse->worker_count);
	log_number(&line, "hosts", (long long)summary.hosts);
	log_number(&line, "certificates", summary.tls.credentials);
	log_end(&line);
	log_flush();
}

static bool load_first(struct gatehouse *gatehouse, struct report *report)
{
	struct routes_setup setup = {gatehouse->path, gatehouse->store, gatehouse->servers};
	struct routes *routes = routes_load(&setup, &gatehouse->watched, report);
	if (!routes)
		return false;
	if (!publish_first(gatehouse, routes))
		return false;
	const struct config *config = routes_config(routes);
	gatehouse->admin = admin_create(gatehouse);
	gatehouse->worker_count = config->workers > 0 ? config->workers : cpus_usable();
	gatehouse->workers = calloc(gatehouse->worker_count, sizeof *gatehouse->workers);
	if (!gatehouse->workers || !gatehouse->admin)
		return false;
	bool is_heard = admin_prepare(gatehouse->admin, config, report);
	return listening_follow(gatehouse, config, report) && is_heard;
}

static bool start(struct gatehouse *gatehouse, struct err *err)
{
	struct routes_setup setup = {gatehouse->path, gatehouse->store, gatehouse->servers};
	const char *user = routes_config(gatehouse->routes)->user;
	if (!launcher_become(&gatehouse->launcher, user, err) || !user_become(user, err))
		return false;
	if (!(gatehouse->upgrade = upgrade_create(gatehouse)))
		return false;
	sandbox_enter(routes_config(gatehouse->routes), &gatehouse->watched);
	gatehouse->reload = reload_create(gatehouse->loop, &setup, on_loaded, gatehouse);
	gatehouse->health_checks = health_checks_create(gatehouse->loop, err);
	gatehouse->crl_watch = crl_watch_create(gatehouse->loop, err);
	if (!gatehouse->reload || !gatehouse->health_checks || !gatehouse->crl_watch)
		return false;
	start_events(gatehouse);
	log_start();
	if (!start_workers(gatehouse, err))
		return false;
	admin_adopt(gatehouse->admin, routes_config(gatehouse->routes));
	tell_workers(gatehouse, WORKER_SERVE);
	publish_health_checks(gatehouse);
	crl_watch_follow(gatehouse->crl_watch, gatehouse->routes);
	watch_replace(gatehouse->watch, gatehouse->watched.paths, gatehouse->watched.count);
	return true;
}

static void finish(struct gatehouse *gatehouse)
{
	reload_destroy(gatehouse->reload);
	admin_destroy(gatehouse->admin);
	upgrade_destroy(gatehouse->upgrade);
	launcher_finish(&gatehouse->launcher);
	for (unsigned i = 0; i < gatehouse->worker_count; i++)
		worker_destroy(gatehouse->workers ? gatehouse->workers[i] : NULL);
	free(gatehouse->workers);
	watch_destroy(gatehouse->watch);
	path_set_finish(&gatehouse->watched);
	publish_finish(gatehouse);
	tls_store_destroy(gatehouse->store);
	servers_destroy(gatehouse->servers);
	sources_destroy(gatehouse->limits.sources);
	route_stats_table_destroy(gatehouse->limits.route_stats);
	log_stop();
}

static int run(struct gatehouse *gatehouse)
{
	struct report report = {.on_finding = on_finding, .owner = gatehouse};
	struct err err = {"out of memory"};
	gatehouse->loop = ev_default_loop(EVFLAG_AUTO);
	gatehouse->store = tls_store_create(&err);
	gatehouse->servers = servers_create();
	gatehouse->limits.sources = sources_create();
	gatehouse->limits.route_stats = route_stats_table_create();
	if (!gatehouse->loop || !gatehouse->store || !gatehouse->servers ||
		!gatehouse->limits.sources || !gatehouse->limits.route_stats)
		goto fail;
	/* Before the first file is read: what changes from now on is noticed. */
	gatehouse->watch =
		watch_create(gatehouse->loop, QUIET_SECONDS, on_files_changed, gatehouse, &err);
	if (!gatehouse->watch)
		goto fail;
	if (!load_first(gatehouse, &report))
		return 1;
	if (!start(gatehouse, &err))
		goto fail;
	log_ready(gatehouse);
	tell_ready(gatehouse);
	ev_run(gatehouse->loop, 0);
	log_info("stopped");
	return 0;
fail:
	fprintf(stderr, "gatehouse: %s\n", err.text);
	handover_failed(&gatehouse->handover, err.text);
	for (unsigned i = 0; gatehouse->workers && i < gatehouse->worker_count; i++)
		if (gatehouse->workers[i])
			worker_tell(
				gatehouse->workers[i], &(struct worker_order){.mode = WORKER_STOP});
	return 1;
}

static const char help[] =
	"usage: gatehouse [serve] -c FILE\n"
	"\n"
	"  -c, --config FILE   the configuration, gatehouse.json(5)\n"
	"  -h, --help          this\n"
	"\n"
	"Runs in the foreground. SIGHUP reloads, SIGTERM drains and ends, a second one ends now.\n"
	"SIGUSR2 upgrades: the program that is at its path now takes over.\n";

static const char *config_option(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *path = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			exit(0);
		}
		if (option != 'c')
			return NULL;
		path = optarg;
	}
	return optind == argc ? path : NULL;
}

/* A log that is opened as descriptor 2 of nothing would be some connection's. */
static void open_standard_descriptors(void)
{
	int fd;
	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
		;
	if (fd > 2)
		close(fd);
}

int serve_main(int argc, char **argv)
{
	struct gatehouse gatehouse = {.path = config_option(argc, argv)};
	if (!gatehouse.path) {
		fputs(help, stderr);
		return 2;
	}
	open_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	descriptors_raise_limit();
	keep_heap_steady();
	launcher_fork(&gatehouse.launcher);
	handover_init(&gatehouse.handover);
	systemd_init();
	inherited_take();
	int status = run(&gatehouse);
	finish(&gatehouse);
	return status;
}
