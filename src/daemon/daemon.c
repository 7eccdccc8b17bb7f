#include "daemon/daemon.h"

#include "base/log.h"
#include "base/version.h"
#include "daemon/clock_watch.h"
#include "daemon/cpus.h"
#include "daemon/crl_watch.h"
#include "daemon/descriptors.h"
#include "daemon/housekeeping.h"
#include "daemon/listening.h"
#include "daemon/load/reload.h"
#include "daemon/load/watched_files.h"
#include "daemon/log_settings.h"
#include "daemon/older_process.h"
#include "daemon/publish.h"
#include "daemon/shutdown.h"
#include "daemon/signals.h"
#include "daemon/snapshots.h"
#include "daemon/systemd.h"
#include "daemon/watchdog.h"
#include "daemon/worker/workers.h"
#include "daemon/worker_orders.h"
#include "net/inherited.h"
#include "route/routes_stats.h"
#include "sandbox/sandbox.h"
#include "sandbox/user.h"
#include "session/cancel_keys.h"
#include "upgrade/handover.h"
#include "upgrade/upgrade.h"
#include "upstream/health_checks.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Of all workers: bytes that wait for slow readers (net/loop_ctx.h). */
#define HELD_MAX ((size_t)128 * 1024 * 1024)

struct daemon {
	const char *path;
	struct ev_loop *loop;
	struct tls_store *store;
	struct servers *servers;
	struct limits limits;
	struct participants participants;
	struct publisher publisher;
	struct routes *first; /* loaded, not published yet; a reference */
	struct snapshots *snapshots;
	struct workers *workers;
	struct listening *listening;
	struct worker_orders *orders;
	struct watched_files *files;
	struct reload *reload;
	struct reload_retry retry;
	bool reload_is_due; /* after the upgrade that is running */
	struct launcher launcher;
	struct upgrade *upgrade;
	struct handover handover;
	struct older_process older;
	struct health_checks *health_checks;
	struct crl_watch *crl_watch;
	struct clock_watch *clock_watch;
	struct housekeeping housekeeping;
	struct watchdog watchdog;
	struct shutdown shutdown;
	struct signals signals;
	ev_timer rotation; /* of the keys of session tickets */
};

/* Participants that others know nothing of. */

static void commit_route_stats(void *owner, const struct reload_event *event)
{
	routes_stats_follow(owner, event->routes);
}

static void commit_health_checks(void *owner, const struct reload_event *event)
{
	health_checks_begin(owner);
	for (size_t i = 0; i < routes_backend_count(event->routes); i++)
		health_checks_add(owner, routes_backend(event->routes, i));
	health_checks_end(owner);
}

static void commit_crl_watch(void *owner, const struct reload_event *event)
{
	crl_watch_follow(owner, event->routes);
}

static bool add_all(struct daemon *daemon, const struct participant *participants, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!daemon_add_participant(daemon, &participants[i]))
			return false;
	return true;
}

static bool add_first_participants(struct daemon *daemon)
{
	const struct participant participants[] = {
		snapshots_participant(daemon->snapshots),
		log_settings_participant(),
		listening_participant(daemon->listening),
		{.name = "route statistics",
			.owner = daemon->limits.route_stats,
			.while_draining = true,
			.commit = commit_route_stats},
	};
	return add_all(daemon, participants, sizeof participants / sizeof *participants);
}

/* The workers are last: when they follow, all that a connection may need is in place. */
static bool add_last_participants(struct daemon *daemon)
{
	const struct participant participants[] = {
		{.name = "health checks",
			.owner = daemon->health_checks,
			.commit = commit_health_checks},
		{.name = "CRL watch",
			.owner = daemon->crl_watch,
			.while_draining = true,
			.commit = commit_crl_watch},
		worker_orders_participant(daemon->orders),
	};
	return add_all(daemon, participants, sizeof participants / sizeof *participants);
}

bool daemon_add_participant(struct daemon *daemon, const struct participant *participant)
{
	return participants_add(&daemon->participants, participant);
}

/* Reloads. */

/* After a failure the files of before are watched too: changing any of them may mend it. */
static void on_loaded(void *owner, const struct loaded *loaded)
{
	struct daemon *daemon = owner;
	watched_files_follow(daemon->files, loaded->paths, loaded->routes != NULL);
	if (workers_mode(daemon->workers) == WORKER_STOP) {
		tls_store_end(daemon->store, false);
		routes_unref(loaded->routes);
		return;
	}
	publish(&daemon->publisher, loaded);
	if (workers_mode(daemon->workers) == WORKER_SERVE)
		systemd_notify("READY=1");
	housekeeping_start(&daemon->housekeeping);
}

/*
 * In an upgrade the new process reads what there is; the reload of this one follows. It follows the
 * files also while it drains: what "revalidate" says holds as long as a session lives.
 */
static void repeat_reload(struct daemon *daemon)
{
	daemon->reload_is_due = upgrade_is_running(daemon->upgrade);
	if (workers_mode(daemon->workers) != WORKER_STOP && !daemon->reload_is_due)
		reload_start(daemon->reload);
}

static void request_reload(struct daemon *daemon)
{
	reload_retry_cancel(&daemon->retry);
	repeat_reload(daemon);
}

static void on_files_changed(void *owner)
{
	request_reload(owner);
}

static void on_retry_due(void *owner)
{
	repeat_reload(owner);
}

static void on_sighup(struct daemon *daemon)
{
	if (workers_mode(daemon->workers) == WORKER_SERVE)
		systemd_notify_reloading();
	request_reload(daemon);
	if (daemon->reload_is_due)
		systemd_notify("READY=1");
}

bool daemon_reload(struct daemon *daemon, unsigned *earlier, struct err *err)
{
	*earlier = reload_is_running(daemon->reload);
	if (workers_mode(daemon->workers) == WORKER_STOP) {
		err_set(err, "the process is about to end");
		return false;
	}
	if (upgrade_is_running(daemon->upgrade)) {
		err_set(err, "an upgrade is under way");
		return false;
	}
	reload_retry_cancel(&daemon->retry);
	reload_start(daemon->reload);
	if (reload_is_running(daemon->reload))
		return true;
	err_set(err, "cannot start a thread to load with; retrying");
	return false;
}

/* The end. */

static void begin_shutdown(struct daemon *daemon)
{
	const struct config *config = routes_config(snapshots_current(daemon->snapshots));
	listening_hide(daemon->listening);
	participants_stopping(&daemon->participants);
	shutdown_drain(&daemon->shutdown, config->proxy.drain_timeout_ms);
}

static void on_stop_signal(struct daemon *daemon)
{
	daemon->reload_is_due = false;
	upgrade_cancel(daemon->upgrade, "the running process ends");
	if (workers_mode(daemon->workers) == WORKER_SERVE)
		begin_shutdown(daemon);
	else
		shutdown_now(&daemon->shutdown, "second signal");
}

static void on_workers_ended(void *owner)
{
	struct daemon *daemon = owner;
	ev_break(daemon->loop, EVBREAK_ALL);
}

/* Upgrades. */

static void visit_listeners(
	void *owner, void (*visit)(void *visitor, struct listener *listener), void *visitor)
{
	struct daemon *daemon = owner;
	participants_each_listener(&daemon->participants, visit, visitor);
}

static void on_upgraded(void *owner, pid_t pid)
{
	struct daemon *daemon = owner;
	participants_upgraded(&daemon->participants, pid);
	ev_loop_fork(daemon->loop); /* as in worker.c: the sockets are the new process's too */
	steady_io_check(&daemon->signals.io);
	systemd_notify("MAINPID=%d", (int)pid);
	systemd_retire();
	begin_shutdown(daemon);
	if (daemon->reload_is_due)
		request_reload(daemon);
}

static void on_returned(void *owner, int fd, const struct returned_from *from)
{
	struct daemon *daemon = owner;
	older_process_serve(daemon->workers, daemon->listening, fd, from);
}

static void on_upgrade_failed(void *owner, const char *error)
{
	struct daemon *daemon = owner;
	participants_upgrade_failed(&daemon->participants, error);
	if (daemon->reload_is_due)
		request_reload(daemon);
}

bool daemon_upgrade(struct daemon *daemon, struct err *err)
{
	if (workers_mode(daemon->workers) == WORKER_SERVE)
		return upgrade_start(daemon->upgrade, err);
	err_set(err, "it is draining");
	return false;
}

static void on_upgrade_signal(struct daemon *daemon)
{
	struct err err;
	if (!daemon_upgrade(daemon, &err))
		log_error("no upgrade: %s", err.text);
}

static void on_signal(void *owner, int number)
{
	if (number == SIGHUP)
		on_sighup(owner);
	else if (number == SIGUSR2)
		on_upgrade_signal(owner);
	else
		on_stop_signal(owner);
}

/* Time. */

static void on_rotation(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *daemon = timer->data;
	(void)loop, (void)events;
	tickets_rotate(tls_store_tickets(daemon->store));
}

/* Dates of certificates and of revocation lists may have passed, or not have come yet. */
static void on_clock_step(void *owner)
{
	struct daemon *daemon = owner;
	log_info("the wall clock was set");
	crl_watch_check(daemon->crl_watch);
	workers_revalidate(daemon->workers);
}

/* From the beginning. */

/*
 * A TLS handshake allocates and frees buffers of 16 KiB again and again; a heap that shrinks and
 * grows with each of them spends its time in the kernel.
 */
static void keep_heap_steady(void)
{
	mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
	mallopt(M_TOP_PAD, 256 * 1024);
}

static void prepare_process(struct daemon *daemon)
{
	signal(SIGPIPE, SIG_IGN);
	descriptors_raise_limit();
	keep_heap_steady();
	launcher_fork(&daemon->launcher);
	handover_init(&daemon->handover);
	systemd_init();
	inherited_take();
}

static bool create_clock_watch(struct daemon *daemon, struct err *err)
{
	int fd = clock_watch_open(err);
	if (fd >= 0)
		daemon->clock_watch = clock_watch_create(daemon->loop, fd, on_clock_step, daemon);
	return daemon->clock_watch != NULL;
}

/* What a load needs. */
static bool create_stores(struct daemon *daemon, struct err *err)
{
	return (daemon->store = tls_store_create(err)) && (daemon->servers = servers_create()) &&
		(daemon->limits.sources = sources_create()) &&
		(daemon->limits.cancel_keys = cancel_keys_create()) &&
		(daemon->limits.route_stats = route_stats_table_create());
}

/* `err` is "out of memory" for those that do not say. */
static bool create_parts(struct daemon *daemon, struct err *err)
{
	struct routes_setup setup = {daemon->path, daemon->store, daemon->servers};
	struct upgrade_setup upgrade = {.loop = daemon->loop,
		.launcher = &daemon->launcher,
		.timeout_seconds = UPGRADE_TIMEOUT_SECONDS,
		.each_listener = visit_listeners,
		.on_succeeded = on_upgraded,
		.on_returned = on_returned,
		.on_failed = on_upgrade_failed,
		.owner = daemon};
	return (daemon->snapshots = snapshots_create()) &&
		(daemon->workers = workers_create(daemon->loop, on_workers_ended, daemon, err)) &&
		(daemon->listening = listening_create(daemon->workers)) &&
		(daemon->orders = worker_orders_create(daemon->workers, daemon->listening)) &&
		(daemon->health_checks = health_checks_create(daemon->loop, err)) &&
		(daemon->crl_watch = crl_watch_create(daemon->loop, err)) &&
		create_clock_watch(daemon, err) &&
		older_process_open(
			&daemon->older, daemon->loop, &daemon->handover, &daemon->limits, err) &&
		(daemon->reload = reload_create(daemon->loop, &setup, on_loaded, daemon, err)) &&
		signals_open(&daemon->signals, daemon->loop, on_signal, daemon, err) &&
		(daemon->upgrade = upgrade_create(&upgrade));
}

static bool daemon_init(struct daemon *daemon, struct err *err)
{
	prepare_process(daemon);
	daemon->loop = loop_ctx_loop_create(err);
	if (!daemon->loop)
		return false;
	err_set(err, "out of memory");
	/* Before the first file is read: what changes from now on is noticed. */
	daemon->files = watched_files_create(daemon->loop, on_files_changed, daemon, err);
	if (!daemon->files || !create_stores(daemon, err) || !create_parts(daemon, err))
		return false;
	daemon->publisher = (struct publisher){daemon->path, daemon->store, &daemon->participants,
		daemon->snapshots, &daemon->retry};
	reload_retry_init(&daemon->retry, daemon->loop, on_retry_due, daemon);
	housekeeping_init(
		&daemon->housekeeping, daemon->loop, daemon->snapshots, daemon->listening);
	shutdown_init(&daemon->shutdown, daemon->loop, daemon->workers);
	return add_first_participants(daemon);
}

struct daemon *daemon_create(const char *path, struct err *err)
{
	struct daemon *daemon = calloc(1, sizeof *daemon);
	if (!daemon) {
		err_set(err, "out of memory");
		return NULL;
	}
	daemon->path = path;
	if (daemon_init(daemon, err))
		return daemon;
	daemon_report_failure(daemon, err->text);
	daemon_destroy(daemon);
	return NULL;
}

void daemon_report_failure(const struct daemon *daemon, const char *error)
{
	handover_failed(&daemon->handover, error);
}

bool daemon_load(struct daemon *daemon, struct report *report)
{
	struct routes_setup setup = {daemon->path, daemon->store, daemon->servers};
	daemon->first = routes_load(&setup, watched_files_paths(daemon->files), report);
	if (!daemon->first)
		return false;
	const struct config *config = routes_config(daemon->first);
	log_settings_apply(config);
	workers_set_count(daemon->workers, config->workers > 0 ? config->workers : cpus_usable());
	if (add_last_participants(daemon))
		return participants_prepare(&daemon->participants, config, report);
	report_error(report, "too many participants");
	return false;
}

static void start_events(struct daemon *daemon)
{
	signals_start(&daemon->signals);
	ev_timer_init(&daemon->rotation, on_rotation, TICKET_PERIOD_SECONDS, TICKET_PERIOD_SECONDS);
	daemon->rotation.data = daemon;
	ev_timer_start(daemon->loop, &daemon->rotation);
	watchdog_start(&daemon->watchdog, daemon->loop, daemon->workers, daemon->snapshots);
}

static bool try_start(struct daemon *daemon, struct err *err)
{
	const struct config *config = routes_config(daemon->first);
	if (handover_is_abandoned(&daemon->handover)) {
		err_set(err, "the old process has given the upgrade up");
		return false;
	}
	if (!launcher_become(&daemon->launcher, config->user, err) ||
		!user_become(config->user, err))
		return false;
	daemon->limits.is_sandboxed = sandbox_enter(config, watched_files_paths(daemon->files));
	if (daemon->limits.is_sandboxed)
		launcher_restrict(&daemon->launcher);
	start_events(daemon);
	log_start();
	descriptors_share(&daemon->limits, workers_count(daemon->workers));
	daemon->limits.held_max = HELD_MAX / workers_count(daemon->workers);
	if (!workers_start(daemon->workers, &daemon->limits, err))
		return false;
	publish_first(&daemon->publisher, daemon->first);
	daemon->first = NULL;
	watched_files_watch(daemon->files);
	return true;
}

bool daemon_start(struct daemon *daemon, struct err *err)
{
	bool ok = try_start(daemon, err);
	if (!ok)
		daemon_report_failure(daemon, err->text);
	return ok;
}

static void log_ready(const struct daemon *daemon)
{
	struct routes_summary summary = routes_summary(daemon_routes(daemon));
	struct log_line line;
	char listeners[512];
	listening_text(daemon->listening, listeners, sizeof listeners);
	log_begin(&line, LOG_INFO_LEVEL, "ready");
	log_text(&line, "version", GATEHOUSE_VERSION);
	log_number(&line, "pid", getpid());
	log_text(&line, "listen", listeners);
	log_number(&line, "workers", workers_count(daemon->workers));
	log_number(&line, "hosts", (long long)summary.hosts);
	log_number(&line, "certificates", summary.tls.credentials);
	log_end(&line);
	log_flush();
}

static void notify_ready(const struct daemon *daemon)
{
	inherited_settle();
	systemd_notify(
		"READY=1\nSTATUS=serving %zu hosts", routes_summary(daemon_routes(daemon)).hosts);
}

static void on_released(void *owner)
{
	struct daemon *daemon = owner;
	notify_ready(daemon);
	older_process_begin(&daemon->older);
}

static void on_older_gone(void *owner)
{
	struct daemon *daemon = owner;
	older_process_end(&daemon->older);
}

/* The old process continues: nothing of what it passed is ours. */
static void on_abandoned(void *owner)
{
	struct daemon *daemon = owner;
	log_error("the old process has not handed over");
	if (workers_mode(daemon->workers) == WORKER_SERVE)
		begin_shutdown(daemon);
}

/* In an upgrade systemd hears of it when the old process has named the new one to it. */
static void report_ready(struct daemon *daemon)
{
	const struct handover_events events = {.on_released = on_released,
		.on_abandoned = on_abandoned,
		.on_gone = on_older_gone,
		.owner = daemon};
	if (handover_is_awaited(&daemon->handover))
		handover_ready(&daemon->handover, daemon->loop, &events);
	else
		notify_ready(daemon);
}

void daemon_run(struct daemon *daemon)
{
	log_ready(daemon);
	report_ready(daemon);
	ev_run(daemon->loop, 0);
	log_info("stopped");
}

/* The last sessions end with the workers, and what they use after them. */
static void destroy_parts(struct daemon *daemon)
{
	reload_destroy(daemon->reload);
	upgrade_destroy(daemon->upgrade);
	worker_orders_destroy(daemon->orders);
	workers_destroy(daemon->workers);
	older_process_close(&daemon->older);
	watched_files_destroy(daemon->files);
	clock_watch_destroy(daemon->clock_watch);
	health_checks_destroy(daemon->health_checks);
	crl_watch_destroy(daemon->crl_watch);
	routes_unref(daemon->first);
	snapshots_destroy(daemon->snapshots);
	listening_destroy(daemon->listening);
}

void daemon_destroy(struct daemon *daemon)
{
	if (!daemon)
		return;
	launcher_finish(&daemon->launcher);
	signals_close(&daemon->signals);
	destroy_parts(daemon);
	tls_store_destroy(daemon->store);
	servers_destroy(daemon->servers);
	sources_destroy(daemon->limits.sources);
	route_stats_table_destroy(daemon->limits.route_stats);
	cancel_keys_destroy(daemon->limits.cancel_keys);
	if (daemon->loop)
		ev_loop_destroy(daemon->loop);
	free(daemon);
	log_stop();
}

/* What there is. */

struct ev_loop *daemon_loop(const struct daemon *daemon)
{
	return daemon->loop;
}

const char *daemon_path(const struct daemon *daemon)
{
	return daemon->path;
}

struct routes *daemon_routes(const struct daemon *daemon)
{
	return snapshots_current(daemon->snapshots);
}

unsigned daemon_snapshot_count(const struct daemon *daemon)
{
	return snapshots_count(daemon->snapshots);
}

unsigned daemon_listeners(const struct daemon *daemon, char *out, size_t size)
{
	return listening_text(daemon->listening, out, size);
}

struct route_stats_table *daemon_route_stats(const struct daemon *daemon)
{
	return daemon->limits.route_stats;
}

unsigned daemon_worker_count(const struct daemon *daemon)
{
	return workers_count(daemon->workers);
}

const struct counters *daemon_counters(const struct daemon *daemon, unsigned worker)
{
	return worker_counters(workers_at(daemon->workers, worker));
}

void daemon_add_task(struct daemon *daemon, unsigned worker, struct task *task)
{
	worker_add_task(workers_at(daemon->workers, worker), task);
}

void daemon_set_drained(struct daemon *daemon, bool is_drained)
{
	atomic_store(&daemon->limits.drained, is_drained);
}

bool daemon_is_drained(const struct daemon *daemon)
{
	return atomic_load(&daemon->limits.drained);
}
