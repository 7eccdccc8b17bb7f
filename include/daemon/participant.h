/*
 * Everything in the daemon that follows the configuration is a participant of a reload. What can
 * fail is done while all prepare; then either all commit, which cannot fail, or those that have
 * prepared roll back. The main thread's.
 */
#ifndef GATEHOUSE_DAEMON_PARTICIPANT_H
#define GATEHOUSE_DAEMON_PARTICIPANT_H

#include "daemon/load/findings.h"
#include "daemon/load/reload_change.h"
#include "net/listener.h"

#include <sys/types.h>

/* A snapshot is put to use. Lent for the call; the snapshots are lent until the next commit. */
struct reload_event {
	const struct routes *before; /* NULL: this is the start */
	struct routes *routes;
	bool counting; /* some participant shows the counters: keep them up to the second */
	const struct findings *findings; /* NULL at the start */
	struct reload_change change;     /* all zero at the start */
	uint64_t took_us;
};

typedef void listener_visit_fn(void *visitor, struct listener *listener);

/* Every member but `name` may be NULL: the participant has no part in that. */
struct participant {
	const char *name;
	void *owner;         /* the first argument of each function; outlives the table */
	bool while_draining; /* does it take part in reloads when the process drains, too? */

	/* Opens and allocates what `next` needs, beside what is in use. False, with an error in
	 * `report`: it failed and has undone its own part. */
	bool (*prepare)(void *owner, const struct config *next, struct report *report);
	void (*commit)(void *owner, const struct reload_event *event);
	void (*rollback)(void *owner);

	/* Visits the listeners in use: an upgrade passes them on. */
	void (*each_listener)(void *owner, listener_visit_fn *visit, void *visitor);

	/* Does it show the counters, under this configuration? */
	bool (*needs_counters)(const void *owner, const struct config *config);

	/* How a reload ended, after all of it: with a commit, without a change, with errors. */
	void (*on_reloaded)(void *owner, const struct reload_event *event);
	void (*on_reload_unchanged)(void *owner, uint64_t took_us);
	/* `retry_seconds`: when it is tried again, because what refused it passes; 0: it is not. */
	void (*on_reload_refused)(
		void *owner, const struct findings *findings, unsigned retry_seconds);

	/* Process `pid` serves now and has the listeners; this one is about to drain. */
	void (*on_upgraded)(void *owner, pid_t pid);
	/* Everything is as before the upgrade. */
	void (*on_upgrade_failed)(void *owner, const char *error);

	/* The process accepts no more connections, drains and ends. */
	void (*on_stopping)(void *owner);
};

/* In the order of preparing and committing: a participant may use those before it. */
#define PARTICIPANTS_MAX 16
struct participants {
	struct participant items[PARTICIPANTS_MAX];
	unsigned count;
	bool is_draining; /* only those that say so prepare and commit */
};

/* False: the table is full. */
bool participants_add(struct participants *participants, const struct participant *participant);

/*
 * All prepare, even after one has failed, so that the report has every error; after a failure those
 * that have prepared roll back in reverse order. True: to be followed by a commit.
 */
bool participants_prepare(
	const struct participants *participants, const struct config *next, struct report *report);
void participants_commit(const struct participants *participants, const struct reload_event *event);

void participants_each_listener(
	const struct participants *participants, listener_visit_fn *visit, void *visitor);
bool participants_need_counters(
	const struct participants *participants, const struct config *config);

/* Notifications, each to all that have the member. */
void participants_reloaded(
	const struct participants *participants, const struct reload_event *event);
void participants_reload_unchanged(const struct participants *participants, uint64_t took_us);
void participants_reload_refused(const struct participants *participants,
	const struct findings *findings, unsigned retry_seconds);
void participants_upgraded(const struct participants *participants, pid_t pid);
void participants_upgrade_failed(const struct participants *participants, const char *error);
void participants_stopping(struct participants *participants);

#endif
