#include "daemon/worker/workers.h"

#include <stdlib.h>

struct workers {
	struct wakeup worker_ended;
	void (*on_all_ended)(void *owner);
	void *owner;
	struct worker **items;
	unsigned count, created;
	enum worker_mode mode;
};

static void on_worker_ended(void *owner)
{
	struct workers *workers = owner;
	for (unsigned i = 0; i < workers->created; i++)
		if (!worker_has_ended(workers->items[i]))
			return;
	workers->on_all_ended(workers->owner);
}

struct workers *workers_create(
	struct ev_loop *loop, void (*on_all_ended)(void *owner), void *owner, struct err *err)
{
	struct workers *workers = calloc(1, sizeof *workers);
	if (!workers) {
		err_set(err, "out of memory");
		return NULL;
	}
	workers->on_all_ended = on_all_ended;
	workers->owner = owner;
	if (wakeup_open(&workers->worker_ended, loop, on_worker_ended, workers, err))
		return workers;
	free(workers);
	return NULL;
}

void workers_set_count(struct workers *workers, unsigned count)
{
	workers->count = count;
}

unsigned workers_count(const struct workers *workers)
{
	return workers->count;
}

bool workers_start(struct workers *workers, struct limits *limits, struct err *err)
{
	workers->items = calloc(workers->count, sizeof *workers->items);
	if (!workers->items) {
		err_set(err, "out of memory");
		return false;
	}
	for (unsigned i = 0; i < workers->count; i++) {
		workers->items[i] = worker_create(i, limits, &workers->worker_ended, err);
		if (!workers->items[i])
			return false;
		workers->created++;
		if (!worker_start(workers->items[i], err))
			return false;
	}
	return true;
}

struct worker *workers_at(const struct workers *workers, unsigned index)
{
	return workers->items[index];
}

void workers_set_mode(struct workers *workers, enum worker_mode mode)
{
	workers->mode = mode;
	for (unsigned i = 0; i < workers->created; i++)
		worker_set_mode(workers->items[i], mode);
}

enum worker_mode workers_mode(const struct workers *workers)
{
	return workers->mode;
}

void workers_revalidate(struct workers *workers)
{
	for (unsigned i = 0; i < workers->created; i++)
		worker_revalidate(workers->items[i]);
}

bool workers_settled(const struct workers *workers)
{
	for (unsigned i = 0; i < workers->created; i++)
		if (!worker_is_settled(workers->items[i]))
			return false;
	return true;
}

unsigned workers_sessions(const struct workers *workers)
{
	unsigned count = 0;
	for (unsigned i = 0; i < workers->created; i++)
		count += worker_sessions(workers->items[i]);
	return count;
}

bool workers_have_answered(const struct workers *workers)
{
	for (unsigned i = 0; i < workers->created; i++)
		if (!worker_has_answered(workers->items[i]))
			return false;
	return true;
}

void workers_ping(struct workers *workers)
{
	for (unsigned i = 0; i < workers->created; i++)
		worker_ping(workers->items[i]);
}

void workers_destroy(struct workers *workers)
{
	if (!workers)
		return;
	workers_set_mode(workers, WORKER_STOP);
	for (unsigned i = 0; i < workers->created; i++)
		worker_destroy(workers->items[i]);
	wakeup_close(&workers->worker_ended);
	free(workers->items);
	free(workers);
}
