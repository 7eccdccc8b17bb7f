/*
 * The running daemon: the main thread with its event loop, the published configuration, listeners
 * and workers. What is on higher floors (administration) takes part through daemon_add_participant,
 * and sees of it what stands here. Everything is the main thread's.
 *
 *     daemon_create  ->  daemon_add_participant...  ->  daemon_load  ->  daemon_start  ->  daemon_run
 *
 * Where a step fails the next is daemon_destroy.
 */
#ifndef GATEHOUSE_DAEMON_DAEMON_H
#define GATEHOUSE_DAEMON_DAEMON_H

#include "daemon/participant.h"
#include "daemon/worker/task.h"
#include "stats/counters.h"
#include "stats/route_stats.h"

#include <ev.h>

struct daemon;

/*
 * Takes over from the environment what a supervisor or an upgrade passes, and forks the launcher: it
 * is called once, while the process has one thread and has read nothing. `path`, of the
 * configuration, is borrowed. NULL with `err`.
 */
struct daemon *daemon_create(const char *path, struct err *err);

/* Before daemon_load; its owner lives until daemon_run returns, or what failed instead of it. False:
 * the table is full. */
bool daemon_add_participant(struct daemon *daemon, const struct participant *participant);

/* An upgrade's old process logs why this start fails; it waits for the end of the process. */
void daemon_report_failure(const struct daemon *daemon, const char *error);

/* Loads the configuration and opens what it asks for. False with all errors in `report`. */
bool daemon_load(struct daemon *daemon, struct report *report);

/* Gives up privileges, enters the sandbox, starts the workers. False with `err`. */
bool daemon_start(struct daemon *daemon, struct err *err);

/* Serves until a signal ends it and the last session has ended. */
void daemon_run(struct daemon *daemon);

/* NULL is fine. No participant is called any more. */
void daemon_destroy(struct daemon *daemon);

/* What there is. */
struct ev_loop *daemon_loop(const struct daemon *daemon);
const char *daemon_path(const struct daemon *daemon);
struct routes *daemon_routes(const struct daemon *daemon); /* lent until the next commit */
unsigned daemon_snapshot_count(const struct daemon *daemon);
unsigned daemon_listeners(const struct daemon *daemon, char *out, size_t size); /* ":443,:8443" */
struct route_stats_table *daemon_route_stats(const struct daemon *daemon);

/* Workers, once started: numbered from 0, and what they have counted. */
unsigned daemon_worker_count(const struct daemon *daemon);
const struct counters *daemon_counters(const struct daemon *daemon, unsigned worker);
void daemon_add_task(struct daemon *daemon, unsigned worker, struct task *task);

/* No host takes new connections, or all do again. */
void daemon_set_drained(struct daemon *daemon, bool is_drained);
bool daemon_is_drained(const struct daemon *daemon);

/*
 * Loads the configuration; participants hear of the outcome. Where a load is under way already,
 * `*earlier` outcomes come before that of this one. False with `err`: it cannot be started.
 */
bool daemon_reload(struct daemon *daemon, unsigned *earlier, struct err *err);

/* Starts an upgrade; participants hear of the outcome. False with `err`: it cannot be started. */
bool daemon_upgrade(struct daemon *daemon, struct err *err);

#endif
