#include "daemon/participant.h"

/* Calls a member of each participant that has it. */
#define EACH(participants, member, ...)                                                            \
	for (unsigned i = 0; i < (participants)->count; i++)                                       \
		if ((participants)->items[i].member)                                               \
	(participants)->items[i].member((participants)->items[i].owner, __VA_ARGS__)

bool participants_add(struct participants *participants, const struct participant *participant)
{
	if (participants->count == PARTICIPANTS_MAX)
		return false;
	participants->items[participants->count++] = *participant;
	return true;
}

static bool takes_part(const struct participants *participants, unsigned i)
{
	return participants->items[i].while_draining || !participants->is_draining;
}

static bool prepare_one(
	const struct participant *participant, const struct config *next, struct report *report)
{
	return !participant->prepare || participant->prepare(participant->owner, next, report);
}

static void rollback_one(const struct participant *participant)
{
	if (participant->rollback)
		participant->rollback(participant->owner);
}

bool participants_prepare(
	const struct participants *participants, const struct config *next, struct report *report)
{
	bool prepared[PARTICIPANTS_MAX], all = true;
	for (unsigned i = 0; i < participants->count; i++) {
		if (!takes_part(participants, i)) {
			prepared[i] = false;
			continue;
		}
		prepared[i] = prepare_one(&participants->items[i], next, report);
		all = all && prepared[i];
	}
	for (unsigned i = participants->count; !all && i-- > 0;)
		if (prepared[i])
			rollback_one(&participants->items[i]);
	return all;
}

void participants_commit(const struct participants *participants, const struct reload_event *event)
{
	for (unsigned i = 0; i < participants->count; i++)
		if (participants->items[i].commit && takes_part(participants, i))
			participants->items[i].commit(participants->items[i].owner, event);
}

void participants_each_listener(
	const struct participants *participants, listener_visit_fn *visit, void *visitor)
{
	EACH(participants, each_listener, visit, visitor);
}

bool participants_need_counters(
	const struct participants *participants, const struct config *config)
{
	for (unsigned i = 0; i < participants->count; i++) {
		const struct participant *participant = &participants->items[i];
		if (participant->needs_counters &&
			participant->needs_counters(participant->owner, config))
			return true;
	}
	return false;
}

void participants_reloaded(
	const struct participants *participants, const struct reload_event *event)
{
	EACH(participants, on_reloaded, event);
}

void participants_reload_unchanged(const struct participants *participants, uint64_t took_us)
{
	EACH(participants, on_reload_unchanged, took_us);
}

void participants_reload_refused(const struct participants *participants,
	const struct findings *findings, unsigned retry_seconds)
{
	EACH(participants, on_reload_refused, findings, retry_seconds);
}

void participants_upgraded(const struct participants *participants, pid_t pid)
{
	EACH(participants, on_upgraded, pid);
}

void participants_upgrade_failed(const struct participants *participants, const char *error)
{
	EACH(participants, on_upgrade_failed, error);
}

void participants_stopping(struct participants *participants)
{
	participants->is_draining = true;
	for (unsigned i = 0; i < participants->count; i++)
		if (participants->items[i].on_stopping)
			participants->items[i].on_stopping(participants->items[i].owner);
}
