#include "daemon/serve.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AWAITED_MOST_MS 1000

static struct listener *find(struct listener **listeners, unsigned count, const char *text)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(listeners[i]->text, text) == 0)
			return listeners[i];
	return NULL;
}

static bool is_in(struct listener **listeners, size_t count, const struct listener *listener)
{
	for (size_t i = 0; i < count; i++)
		if (listeners[i] == listener)
			return true;
	return false;
}

/* The router's listeners, then those of each forward. */
static size_t count_wanted(const struct config *config)
{
	size_t count = config->listener_count;
	for (size_t i = 0; i < config->forward_count; i++)
		count += config->forwards[i].listener_count;
	return count;
}

static const struct listener_config *wanted_listener(const struct config *config, size_t index)
{
	if (index < config->listener_count)
		return &config->listeners[index];
	index -= config->listener_count;
	for (size_t i = 0; i < config->forward_count; i++) {
		const struct forward_config *forward = &config->forwards[i];
		if (index < forward->listener_count)
			return &forward->listeners[index];
		index -= forward->listener_count;
	}
	return NULL;
}

/* A worker that was told only just now may still hold what it is to let go. */
static void await_workers(const struct gatehouse *gatehouse)
{
	for (unsigned turn = 0; turn < AWAITED_MOST_MS && !workers_settled(gatehouse); turn++)
		usleep(1000);
}

/* What is new is opened; false, and closed again, when one of them cannot be. */
static bool open_all(struct gatehouse *gatehouse, const struct config *config,
	struct listener **wanted, struct report *report)
{
	unsigned errors = report->errors;
	for (size_t i = 0; i < count_wanted(config); i++) {
		const struct listener_config *listen = wanted_listener(config, i);
		struct err err;
		wanted[i] = find(gatehouse->listeners, gatehouse->listener_count, listen->address);
		if (wanted[i])
			continue;
		if (gatehouse->retired_count > 0)
			await_workers(gatehouse);
		wanted[i] = listener_open(listen->address, gatehouse->worker_count, &err);
		if (!wanted[i])
			report_error(
				report, "%s: \"%s\": %s", listen->where, listen->address, err.text);
	}
	return report->errors == errors;
}

static void close_new(struct gatehouse *gatehouse, struct listener **wanted, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!is_in(gatehouse->listeners, gatehouse->listener_count, wanted[i]))
			listener_close(wanted[i]);
}

static void tell(const struct listener *listener, const char *message)
{
	struct log_line line;
	log_begin(&line, LOG_INFO_LEVEL, message);
	log_text(&line, "listener", listener->text);
	log_end(&line);
}

static void tell_new(const struct gatehouse *gatehouse, struct listener **wanted, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!is_in(gatehouse->listeners, gatehouse->listener_count, wanted[i]))
			tell(wanted[i], "listener opened");
}

static void retire(struct gatehouse *gatehouse, struct listener *listener)
{
	size_t size = (gatehouse->retired_count + 1) * sizeof *gatehouse->retired;
	struct listener **more = realloc(gatehouse->retired, size);
	if (!more)
		abort();
	gatehouse->retired = more;
	gatehouse->retired[gatehouse->retired_count++] = listener;
	tell(listener, "listener closed");
	listener_hide(listener);
}

/*
 * Listeners that stay are left alone. Those that go are retired: the workers stop using them first,
 * and connections that came in by them still name them in the log.
 */
bool listening_follow(
	struct gatehouse *gatehouse, const struct config *config, struct report *report)
{
	size_t count = count_wanted(config);
	struct listener **wanted = calloc(count + 1, sizeof *wanted);
	if (!wanted) {
		report_error(report, "out of memory");
		return false;
	}
	if (!open_all(gatehouse, config, wanted, report)) {
		close_new(gatehouse, wanted, count);
		free(wanted);
		return false;
	}
	if (gatehouse->listeners)
		tell_new(gatehouse, wanted, count);
	for (unsigned i = 0; i < gatehouse->listener_count; i++)
		if (!is_in(wanted, count, gatehouse->listeners[i]))
			retire(gatehouse, gatehouse->listeners[i]);
	free(gatehouse->listeners);
	gatehouse->listeners = wanted;
	gatehouse->listener_count = (unsigned)count;
	return true;
}
