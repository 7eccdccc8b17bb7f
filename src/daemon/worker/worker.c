#include "daemon/worker/worker.h"

#include "base/log.h"
#include "daemon/worker/acceptors.h"
#include "net/pipes.h"
#include "session/engine.h"
#include "session/revalidate.h"
#include "session/session_stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct worker {
	struct service service; /* first: the service's callbacks lead back to the worker */
	unsigned index;
	pthread_t thread;
	bool started;
	struct ev_loop *loop, *main_loop;
	ev_async *on_ended;
	ev_async wake;
	ev_prepare before_sleep;
	struct acceptors acceptors;
	enum worker_mode mode;
	_Atomic(struct worker_order *) next_order;
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

static void follow(struct worker *worker, struct worker_order *order)
{
	worker->mode = order->mode;
	unsigned listeners = order->mode == WORKER_SERVE ? order->listener_count : 0;
	/* Under the old snapshot, which they point into. */
	acceptors_leave(&worker->acceptors, order->listeners, listeners);
	if (order->routes != worker->service.routes) {
		routes_unref(worker->service.routes);
		worker->service.routes = order->routes;
		revalidate_all(&worker->service);
	} else {
		routes_unref(order->routes);
	}
	session_stats_follow(&worker->service, order->counting);
	acceptors_join(&worker->acceptors, order->listeners, listeners);
	/* libev takes a closed socket out of its epoll set by closing it, which does not do where the
	 * next gatehouse or systemd has it too: a new set, without it. */
	if (order->mode == WORKER_DRAIN)
		ev_loop_fork(worker->loop);
	if (order->mode == WORKER_STOP)
		sessions_end_all(&worker->service, END_STOPPED, "shutting down");
	/* The first of those let in last may have been gone before the next came. */
	bool is_over = order->mode != WORKER_SERVE && service_sessions(&worker->service) == 0;
	ev_break(worker->loop, is_over ? EVBREAK_ALL : EVBREAK_CANCEL);
}

static void order_free(struct worker_order *order)
{
	free(order->listeners);
	free(order);
}

static void on_wake(struct ev_loop *loop, ev_async *wake, int events)
{
	struct worker *worker = wake->data;
	(void)loop, (void)events;
	unsigned given = atomic_load(&worker->orders_given);
	struct worker_order *order = atomic_exchange(&worker->next_order, NULL);
	if (order) {
		follow(worker, order);
		order_free(order);
	}
	task_queue_run(&worker->tasks, &worker->service);
	atomic_store(&worker->orders_done, given);
	atomic_store(&worker->pongs, atomic_load(&worker->pings));
}

static void on_before_sleep(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	(void)loop, (void)prepare, (void)events;
	log_flush();
}

static bool init_loop(struct worker *worker, struct err *err)
{
	worker->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!worker->loop) {
		err_set(err, "no event loop: %s", strerror(errno));
		return false;
	}
	ev_async_init(&worker->wake, on_wake);
	ev_prepare_init(&worker->before_sleep, on_before_sleep);
	worker->wake.data = worker->before_sleep.data = worker;
	ev_async_start(worker->loop, &worker->wake);
	ev_prepare_start(worker->loop, &worker->before_sleep);
	return true;
}

static void worker_free(struct worker *worker)
{
	if (worker->service.resolver)
		resolver_destroy(worker->service.resolver);
	loop_ctx_finish(&worker->service.ctx);
	counters_destroy(worker->service.counters);
	if (worker->loop)
		ev_loop_destroy(worker->loop);
	free(worker);
}

struct worker *worker_create(unsigned index, struct limits *limits, struct ev_loop *main_loop,
	ev_async *on_ended, struct err *err)
{
	struct worker *worker = calloc(1, sizeof *worker);
	if (!worker) {
		err_set(err, "out of memory");
		return NULL;
	}
	worker->index = index;
	worker->main_loop = main_loop;
	worker->on_ended = on_ended;
	worker->service.limits = limits;
	worker->service.index = index;
	worker->service.on_session_gone = on_session_gone;
	if (!init_loop(worker, err) || !loop_ctx_init(&worker->service.ctx, worker->loop, err) ||
		!(worker->service.resolver = resolver_create(worker->loop, NULL, err)) ||
		!(worker->service.counters = counters_create())) {
		worker_free(worker);
		return NULL;
	}
	acceptors_init(&worker->acceptors, &worker->service, index);
	pipes_limit(worker->service.ctx.pipes, limits->pipes_max);
	log_ratelimit_init(&worker->service.log_ratelimit, worker->loop);
	session_stats_init(&worker->service);
	revalidate_init(&worker->service);
	return worker;
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	char name[16];
	snprintf(name, sizeof name, "worker-%u", worker->index);
	pthread_setname_np(pthread_self(), name); /* the sandbox lets a thread name itself alone */
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
	ev_async_send(worker->main_loop, worker->on_ended);
	return NULL;
}

bool worker_start(struct worker *worker, struct err *err)
{
	int error = pthread_create(&worker->thread, NULL, run, worker);
	if (error) {
		err_set(err, "cannot start a thread: %s", strerror(error));
		return false;
	}
	worker->started = true;
	return true;
}

void worker_tell(struct worker *worker, const struct worker_order *order)
{
	size_t size = order->listener_count * sizeof *order->listeners;
	struct worker_order *copy = malloc(sizeof *copy);
	struct listener **listeners = malloc(size + 1);
	if (!copy || !listeners)
		abort();
	memcpy(listeners, order->listeners, size);
	*copy = *order;
	copy->listeners = listeners;
	struct worker_order *unread = atomic_exchange(&worker->next_order, copy);
	if (unread) {
		routes_unref(unread->routes);
		order_free(unread);
	}
	atomic_fetch_add(&worker->orders_given, 1);
	ev_async_send(worker->loop, &worker->wake);
}

bool worker_settled(const struct worker *worker)
{
	return atomic_load(&worker->ended) ||
		atomic_load(&worker->orders_done) == atomic_load(&worker->orders_given);
}

bool worker_ended(const struct worker *worker)
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

/* One that comes too late for the thread is told so here, and only once. */
void worker_ask(struct worker *worker, struct task *task)
{
	task_queue_add(&worker->tasks, task, worker->loop, &worker->wake);
	if (atomic_load(&worker->tasks_closed))
		task_queue_drop(&worker->tasks);
}

void worker_ping(struct worker *worker)
{
	atomic_fetch_add(&worker->pings, 1);
	ev_async_send(worker->loop, &worker->wake);
}

bool worker_answered(const struct worker *worker)
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
	struct worker_order *unread = atomic_exchange(&worker->next_order, NULL);
	if (unread) {
		routes_unref(unread->routes);
		order_free(unread);
	}
	routes_unref(worker->service.routes);
	worker_free(worker);
}
