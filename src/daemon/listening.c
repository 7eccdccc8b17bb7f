#include "daemon/listening.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLED_WAIT_MS 1000

struct listener_list {
	struct listener **items;
	unsigned count;
};

struct listening {
	const struct workers *workers;
	struct listener_list current, next; /* next: prepared; its items are current ones and new */
	struct listener_list retired;       /* has room for all current ones while prepared */
};

struct listening *listening_create(const struct workers *workers)
{
	struct listening *listening = calloc(1, sizeof *listening);
	if (listening)
		listening->workers = workers;
	return listening;
}

static struct listener *listener_of_text(const struct listener_list *list, const char *text)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->items[i]->text, text) == 0)
			return list->items[i];
	return NULL;
}

struct listener *listening_find(const struct listening *listening, const char *text)
{
	struct listener *listener = listener_of_text(&listening->current, text);
	return listener ? listener : listener_of_text(&listening->retired, text);
}

static bool list_contains(const struct listener_list *list, const struct listener *listener)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->items[i] == listener)
			return true;
	return false;
}

static bool is_new(const struct listening *listening, const struct listener *listener)
{
	return listener && !list_contains(&listening->current, listener);
}

/* A worker whose order is on its way may still hold the address that it is to release. */
static void await_workers(const struct listening *listening)
{
	for (unsigned ms = 0; ms < SETTLED_WAIT_MS && !workers_settled(listening->workers); ms++)
		usleep(1000);
}

static struct listener *open_listener(const struct listening *listening,
	const struct listener_config *wanted, struct report *report)
{
	struct err err;
	if (listening->retired.count > 0)
		await_workers(listening);
	struct listener *listener =
		listener_open(wanted->address, workers_count(listening->workers), &err);
	if (listener)
		return listener;
	report_error(report, "%s: \"%s\": %s", wanted->where, wanted->address, err.text);
	report_cause(report, &err);
	return NULL;
}

/* All are tried, so that the report has every error. */
static bool open_all(
	struct listening *listening, const struct config *config, struct report *report)
{
	bool ok = true;
	for (unsigned i = 0; i < listening->next.count; i++) {
		const struct listener_config *wanted = config_listener(config, i);
		struct listener *same = listener_of_text(&listening->current, wanted->address);
		listening->next.items[i] = same ? same : open_listener(listening, wanted, report);
		ok = ok && listening->next.items[i];
	}
	return ok;
}

/* A commit must not need memory. */
static bool make_room(struct listening *listening, unsigned count)
{
	size_t retired = listening->retired.count + listening->current.count + 1;
	struct listener **more =
		realloc(listening->retired.items, retired * sizeof *listening->retired.items);
	if (!more)
		return false;
	listening->retired.items = more;
	listening->next.items = calloc(count + 1, sizeof *listening->next.items);
	listening->next.count = listening->next.items ? count : 0;
	return listening->next.items != NULL;
}

static void listening_rollback(void *owner)
{
	struct listening *listening = owner;
	for (unsigned i = 0; i < listening->next.count; i++)
		if (is_new(listening, listening->next.items[i]))
			listener_close(listening->next.items[i]);
	free(listening->next.items);
	listening->next = (struct listener_list){0};
}

static bool listening_prepare(void *owner, const struct config *next, struct report *report)
{
	struct listening *listening = owner;
	if (!make_room(listening, (unsigned)config_listener_count(next)))
		report_no_memory(report, NULL);
	else if (open_all(listening, next, report))
		return true;
	listening_rollback(listening);
	return false;
}

static void log_listener(const struct listener *listener, const char *message)
{
	struct log_line line;
	log_begin(&line, LOG_INFO_LEVEL, message);
	log_text(&line, "listener", listener->text);
	log_end(&line);
}

static void listener_retire(struct listening *listening, struct listener *listener)
{
	listening->retired.items[listening->retired.count++] = listener;
	log_listener(listener, "listener closed");
	listener_hide(listener);
}

static void listening_commit(void *owner, const struct reload_event *event)
{
	struct listening *listening = owner;
	for (unsigned i = 0; event->before && i < listening->next.count; i++)
		if (is_new(listening, listening->next.items[i]))
			log_listener(listening->next.items[i], "listener opened");
	for (unsigned i = 0; i < listening->current.count; i++)
		if (!list_contains(&listening->next, listening->current.items[i]))
			listener_retire(listening, listening->current.items[i]);
	free(listening->current.items);
	listening->current = listening->next;
	listening->next = (struct listener_list){0};
}

static void listening_each(void *owner, listener_visit_fn *visit, void *visitor)
{
	const struct listening *listening = owner;
	for (unsigned i = 0; i < listening->current.count; i++)
		visit(visitor, listening->current.items[i]);
}

struct participant listening_participant(struct listening *listening)
{
	return (struct participant){.name = "listening",
		.owner = listening,
		.prepare = listening_prepare,
		.commit = listening_commit,
		.rollback = listening_rollback,
		.each_listener = listening_each};
}

struct listener **listening_items(const struct listening *listening, unsigned *count)
{
	*count = listening->current.count;
	return listening->current.items;
}

unsigned listening_text(const struct listening *listening, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < listening->current.count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "",
			listening->current.items[i]->text);
	return listening->current.count;
}

void listening_hide(struct listening *listening)
{
	for (unsigned i = 0; i < listening->current.count; i++)
		listener_hide(listening->current.items[i]);
}

bool listening_tidy(struct listening *listening)
{
	bool is_settled = workers_settled(listening->workers);
	for (unsigned i = 0; is_settled && i < listening->retired.count; i++)
		listener_shut(listening->retired.items[i]);
	return is_settled || listening->retired.count == 0;
}

void listening_destroy(struct listening *listening)
{
	if (!listening)
		return;
	listening_rollback(listening);
	for (unsigned i = 0; i < listening->current.count; i++)
		listener_close(listening->current.items[i]);
	for (unsigned i = 0; i < listening->retired.count; i++)
		listener_close(listening->retired.items[i]);
	free(listening->current.items);
	free(listening->retired.items);
	free(listening);
}
