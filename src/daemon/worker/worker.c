#include "daemon/worker/worker.h"

#include "base/log.h"
#include "daemon/worker/acceptors.h"
#include "net/pipes.h"
#include "sandbox/sandbox.h"
#include "session/engine.h"
#include "session/revalidate.h"
#include "session/session_stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct worker {
	struct service service; /* first: the service's callbacks lead back to the worker */
	unsigned index;
	pthread_t thread;
	bool started;
	struct ev_loop *loop;
	struct wakeup *on_ended, wake;
	struct acceptors acceptors;
	enum worker_mode mode;
	_Atomic(struct worker_order *) next_order; /* NULL: followed */
	atomic_uint next_mode;
	atomic_bool revalidation_due;
	atomic_uint orders_given, orders_done, pings, pongs;
	atomic_bool tasks_closed, ended; /* tasks_closed: no task is run any more */
	struct task_queue tasks;
};

static void on_session_gone(struct service *service)
{
	struct worker *worker = (struct worker *)service;
	acceptors_session_gone(&worker->acceptors);
	if (worker->mode != WORKER_SERVE && service_sessions(service) == 0)
		ev_break(worker->loop, EVBREAK_ALL);
}

struct worker_order *worker_order_create(unsigned listeners)
{
	struct worker_order *order = NULL;
	return calloc(1, sizeof *order + listeners * sizeof *order->listeners);
}

void worker_order_free(struct worker_order *order)
{
	if (order)
		routes_unref(order->routes);
	free(order);
}

/* The listeners are left under the old snapshot, which they point into, and joined under the new. */
static void follow_order(struct worker *worker, struct worker_order *order)
{
	bool is_serving = worker->mode == WORKER_SERVE;
	unsigned listeners = is_serving ? order->listener_count : 0;
	acceptors_leave(&worker->acceptors, order->listeners, listeners);
	struct routes *before = worker->service.routes;
	worker->service.routes = order->routes;
	order->routes = before;
	if (before)
		revalidate_all(&worker->service);
	session_stats_follow(&worker->service, order->counting);
	acceptors_join(&worker->acceptors, order->listeners, listeners);
}

static void enter_mode(struct worker *worker, enum worker_mode mode)
{
	worker->mode = mode;
	acceptors_leave(&worker->acceptors, NULL, 0);
	switch (mode) {
	case WORKER_SERVE:
		break;
	case WORKER_DRAIN:
		/* libev takes a closed socket out of its epoll set by closing it, which has no
		 * effect where the next process or systemd has it too: a new set, without it. */
		ev_loop_fork(worker->loop);
		steady_io_check(&worker->wake.io);
		break;
	case WORKER_STOP:
		sessions_end_all(&worker->service, END_STOPPED, "shutting down");
		break;
	}
	/* The first of those accepted last may have ended, and ended the loop, before the next. */
	bool is_over = mode != WORKER_SERVE && service_sessions(&worker->service) == 0;
	ev_break(worker->loop, is_over ? EVBREAK_ALL : EVBREAK_CANCEL);
}

static void follow_orders(struct worker *worker)
{
	struct worker_order *order = atomic_exchange(&worker->next_order, NULL);
	enum worker_mode mode = atomic_load(&worker->next_mode);
	if (order)
		follow_order(worker, order);
	worker_order_free(order);
	if (mode != worker->mode)
		enter_mode(worker, mode);
	if (atomic_exchange(&worker->revalidation_due, false))
		revalidate_all(&worker->service);
}

static void on_wake(void *owner)
{
	struct worker *worker = owner;
	unsigned given = atomic_load(&worker->orders_given);
	follow_orders(worker);
	task_queue_run(&worker->tasks, &worker->service);
	atomic_store(&worker->orders_done, given);
	atomic_store(&worker->pongs, atomic_load(&worker->pings));
}

static bool worker_init_loop(struct worker *worker, struct err *err)
{
	worker->loop = loop_ctx_loop_create(err);
	return worker->loop && wakeup_open(&worker->wake, worker->loop, on_wake, worker, err);
}

static void worker_free(struct worker *worker)
{
	if (worker->service.resolver)
		resolver_destroy(worker->service.resolver);
	loop_ctx_finish(&worker->service.ctx);
	counters_destroy(worker->service.counters);
	wakeup_close(&worker->wake);
	if (worker->loop)
		ev_loop_destroy(worker->loop);
	free(worker);
}

struct worker *worker_create(
	unsigned index, struct limits *limits, struct wakeup *on_ended, struct err *err)
{
	struct worker *worker = calloc(1, sizeof *worker);
	if (!worker) {
		err_set(err, "out of memory");
		return NULL;
	}
	worker->index = index;
	worker->on_ended = on_ended;
	worker->service.limits = limits;
	worker->service.index = index;
	worker->service.on_session_gone = on_session_gone;
	if (!worker_init_loop(worker, err) ||
		!loop_ctx_init(&worker->service.ctx, worker->loop, err) ||
		!(worker->service.resolver = resolver_create(worker->loop, NULL, err)) ||
		!(worker->service.counters = counters_create())) {
		worker_free(worker);
		return NULL;
	}
	acceptors_init(&worker->acceptors, &worker->service, index);
	pipes_limit(worker->service.ctx.pipes, limits->pipes_max);
	worker->service.ctx.on_turn_end = log_flush;
	worker->service.ctx.spare_sockets = limits->dialing_max;
	loop_ctx_limit_held(&worker->service.ctx, limits->held_max);
	log_ratelimit_init(&worker->service.log_ratelimit, worker->loop);
	session_stats_init(&worker->service);
	revalidate_init(&worker->service);
	return worker;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	char name[16];
	snprintf(name, sizeof name, "worker-%u", worker->index);
	pthread_setname_np(pthread_self(), name); /* the sandbox lets a thread name itself alone */
	if (worker->service.limits->is_sandboxed)
		sandbox_enter_worker();
	log_batch(true);
	ev_run(worker->loop, 0);
	log_ratelimit_finish(&worker->service.log_ratelimit);
	revalidate_finish(&worker->service);
	session_stats_follow(&worker->service, false);
	log_flush();
	log_batch(false);
	atomic_store(&worker->tasks_closed, true);
	task_queue_drop(&worker->tasks);
	atomic_store(&worker->ended, true);
	wakeup_send(worker->on_ended);
	return NULL;
}

bool worker_start(struct worker *worker, struct err *err)
{
	int error = pthread_create(&worker->thread, NULL, worker_main, worker);
	if (error) {
		err_set(err, "cannot start a thread: %s", strerror(error));
		return false;
	}
	worker->started = true;
	return true;
}

static void send_orders(struct worker *worker)
{
	atomic_fetch_add(&worker->orders_given, 1);
	wakeup_send(&worker->wake);
}

void worker_follow(struct worker *worker, struct worker_order *order)
{
	worker_order_free(atomic_exchange(&worker->next_order, order));
	send_orders(worker);
}

void worker_set_mode(struct worker *worker, enum worker_mode mode)
{
	atomic_store(&worker->next_mode, mode);
	send_orders(worker);
}

void worker_revalidate(struct worker *worker)
{
	atomic_store(&worker->revalidation_due, true);
	send_orders(worker);
}

bool worker_is_settled(const struct worker *worker)
{
	return atomic_load(&worker->ended) ||
		atomic_load(&worker->orders_done) == atomic_load(&worker->orders_given);
}

bool worker_has_ended(const struct worker *worker)
{
	return atomic_load(&worker->ended);
}

unsigned worker_sessions(const struct worker *worker)
{
	return service_sessions(&worker->service);
}

const struct counters *worker_counters(const struct worker *worker)
{
	return worker->service.counters;
}

/* A task that comes too late for the thread is dropped here, and only once. */
void worker_add_task(struct worker *worker, struct task *task)
{
	task_queue_add(&worker->tasks, task, &worker->wake);
	if (atomic_load(&worker->tasks_closed))
		task_queue_drop(&worker->tasks);
}

void worker_ping(struct worker *worker)
{
	atomic_fetch_add(&worker->pings, 1);
	wakeup_send(&worker->wake);
}

bool worker_has_answered(const struct worker *worker)
{
	return atomic_load(&worker->ended) ||
		atomic_load(&worker->pongs) == atomic_load(&worker->pings);
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->started)
		pthread_join(worker->thread, NULL);
	worker_order_free(atomic_exchange(&worker->next_order, NULL));
	routes_unref(worker->service.routes);
	worker_free(worker);
}
