/*
 * Replacing the program without losing a connection. The launcher starts what is now at the path of
 * the program, with the same arguments; it is passed the listening sockets, all of them, so that
 * each queue goes on being served; it loads its configuration and reports that it serves. Then this
 * process drains and ends. When the new one fails, in whatever way, this one continues unchanged,
 * and the log says why.
 *
 *     old                                  new
 *     upgrade_start ---- launcher -------> exec, inherits sockets
 *     serves                               loads, opens what is new, starts its workers
 *     reads it  <------------------------- HANDOVER_READY; both accept
 *     on_succeeded: MAINPID= to systemd
 *     sends HANDOVER_TOKEN --------------> READY=1 to systemd
 *     serves them <----------------------- connections that concern one of the old process
 *     drains, ends
 */
#ifndef GATEHOUSE_UPGRADE_UPGRADE_H
#define GATEHOUSE_UPGRADE_UPGRADE_H

#include "base/err.h"
#include "net/listener.h"
#include "upgrade/launcher.h"
#include "upgrade/returned.h"

#include <ev.h>

/* A million hosts take their time to load; a process that hangs is ended after this time. */
#define UPGRADE_TIMEOUT_SECONDS 300.

/* All of it is borrowed and outlives the upgrade. No callback may destroy it. */
struct upgrade_setup {
	struct ev_loop *loop;
	struct launcher *launcher;
	double timeout_seconds; /* for the new process to become ready */
	/* Visits every listener that the process has. */
	void (*each_listener)(void *owner, void (*visit)(void *visitor, struct listener *listener),
		void *visitor);
	/* Process `pid` serves. It takes over for good when this returns. */
	void (*on_succeeded)(void *owner, pid_t pid);
	/* While this process drains: the new one returns a connection, whose descriptor is the owner's. */
	void (*on_returned)(void *owner, int fd, const struct returned_from *from);
	/* Everything is as before. The log has the line already. */
	void (*on_failed)(void *owner, const char *error);
	void *owner;
};

struct upgrade;

/* NULL: out of memory. */
struct upgrade *upgrade_create(const struct upgrade_setup *setup);

/* False with `err`: it cannot begin. Otherwise one of the callbacks follows, unless cancelled. */
bool upgrade_start(struct upgrade *upgrade, struct err *err);

/* Ends the new process, if an upgrade is running, and calls on_failed with `why`. */
void upgrade_cancel(struct upgrade *upgrade, const char *why);
bool upgrade_is_running(const struct upgrade *upgrade);

/* NULL is fine. An upgrade that is running is forgotten. */
void upgrade_destroy(struct upgrade *upgrade);

#endif
