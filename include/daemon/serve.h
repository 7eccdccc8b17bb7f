/*
 * The running gatehouse: what the main thread holds. It starts the workers, watches files and
 * signals, publishes reloads, and sees the workers out.
 */
#ifndef GATEHOUSE_DAEMON_SERVE_H
#define GATEHOUSE_DAEMON_SERVE_H

#include "control/admin.h"
#include "daemon/crl_watch.h"
#include "daemon/reload.h"
#include "daemon/worker/worker.h"
#include "upgrade/handover.h"
#include "upgrade/launcher.h"
#include "upgrade/upgrade.h"
#include "upstream/health_checks.h"
#include "watch/watch.h"

struct generation; /* a snapshot that was published, until nobody uses it */

struct gatehouse {
	const char *path; /* of the configuration */
	struct ev_loop *loop;
	struct tls_store *store;
	struct servers *servers;
	struct limits limits;
	struct routes *routes; /* published; a reference */
	struct generation *generations;
	struct listener **listeners, **retired; /* retired: shut when the workers have let go */
	unsigned listener_count, retired_count;
	struct worker **workers;
	unsigned worker_count;
	enum worker_mode mode;
	struct watch *watch;
	struct reload *reload;
	struct admin *admin;
	bool reload_is_due; /* when the upgrade that is running should fail */
	struct launcher launcher;
	struct upgrade *upgrade;
	struct handover handover;
	struct health_checks *health_checks;
	struct crl_watch *crl_watch;
	struct path_set watched;
	ev_signal on_hup, on_term, on_int, on_usr2;
	ev_async worker_ended;
	ev_timer housekeeping, drain, rotation, watchdog;
	int status;
};

/* publish.c: what follows a load. */
void publish(struct gatehouse *gatehouse, const struct loaded *loaded);
bool publish_first(struct gatehouse *gatehouse, struct routes *routes);
void publish_housekeeping(struct gatehouse *gatehouse);
bool publish_is_settled(const struct gatehouse *gatehouse);
unsigned publish_generations(const struct gatehouse *gatehouse); /* snapshots alive */
void publish_finish(struct gatehouse *gatehouse);
void publish_health_checks(struct gatehouse *gatehouse);
void tell_workers(struct gatehouse *gatehouse, enum worker_mode mode);
bool workers_settled(const struct gatehouse *gatehouse); /* have they done as they were told? */

/* serve.c: what signals ask for. An upgrade that succeeded ends in a drain. */
void serve_reload(struct gatehouse *gatehouse);
void serve_drain(struct gatehouse *gatehouse);

/* listening.c: the sockets that a snapshot asks for, beside those that there are. */
bool listening_follow(
	struct gatehouse *gatehouse, const struct config *config, struct report *report);

#endif
