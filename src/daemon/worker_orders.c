#include "daemon/worker_orders.h"

#include <stdlib.h>
#include <string.h>

struct worker_orders {
	struct workers *workers;
	const struct listening *listening;
	struct worker_order **prepared; /* one for each worker; NULL: none are prepared */
};

struct worker_orders *worker_orders_create(
	struct workers *workers, const struct listening *listening)
{
	struct worker_orders *orders = calloc(1, sizeof *orders);
	if (!orders)
		return NULL;
	orders->workers = workers;
	orders->listening = listening;
	return orders;
}

static void orders_rollback(void *owner)
{
	struct worker_orders *orders = owner;
	for (unsigned i = 0; orders->prepared && i < workers_count(orders->workers); i++)
		worker_order_free(orders->prepared[i]);
	free(orders->prepared);
	orders->prepared = NULL;
}

static bool orders_allocate(struct worker_orders *orders, unsigned listeners)
{
	unsigned count = workers_count(orders->workers);
	orders->prepared = calloc(count, sizeof *orders->prepared);
	if (!orders->prepared)
		return false;
	for (unsigned i = 0; i < count; i++) {
		orders->prepared[i] = worker_order_create(listeners);
		if (!orders->prepared[i])
			return false;
	}
	return true;
}

static bool orders_prepare(void *owner, const struct config *next, struct report *report)
{
	const struct worker_orders *orders = owner;
	unsigned current, count = (unsigned)config_listener_count(next);
	listening_items(orders->listening, &current); /* stay while the process drains */
	if (orders_allocate(owner, count > current ? count : current))
		return true;
	report_no_memory(report, NULL);
	orders_rollback(owner);
	return false;
}

static void orders_commit(void *owner, const struct reload_event *event)
{
	struct worker_orders *orders = owner;
	unsigned listener_count;
	struct listener **listeners = listening_items(orders->listening, &listener_count);
	for (unsigned i = 0; i < workers_count(orders->workers); i++) {
		struct worker_order *order = orders->prepared[i];
		order->routes = routes_ref(event->routes);
		order->counting = event->counting;
		order->listener_count = listener_count;
		if (listener_count > 0)
			memcpy(order->listeners, listeners,
				listener_count * sizeof *order->listeners);
		worker_follow(workers_at(orders->workers, i), order);
	}
	free(orders->prepared);
	orders->prepared = NULL;
}

struct participant worker_orders_participant(struct worker_orders *orders)
{
	return (struct participant){.name = "workers",
		.owner = orders,
		.while_draining = true,
		.prepare = orders_prepare,
		.commit = orders_commit,
		.rollback = orders_rollback};
}

void worker_orders_destroy(struct worker_orders *orders)
{
	if (!orders)
		return;
	orders_rollback(orders);
	free(orders);
}
