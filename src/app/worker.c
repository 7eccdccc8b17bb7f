#include "app/worker.h"

#include "base/log.h"
#include "net/pipes.h"
#include "session/counting.h"
#include "session/revalidate.h"
#include "session/session.h"
#include "session/steps.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Connections taken at one wake-up, so that those there get their turn. */
#define ACCEPTED_MOST 64
#define QUEUED_MOST   65536 /* no queue of the kernel's is longer */

/* How soon to try again when there was no descriptor, or no place. */
#define PAUSE_SECONDS 0.1

/* After so long without another pause it is over. */
#define RECOVERED_SECONDS 2.0

struct acceptor {
	ev_io io;
	struct worker *worker;
	struct listener *listener;
	unsigned slot; /* which of the listener's sockets */
	const struct listener_config *config; /* of the snapshot in service->routes; */
	struct route *forward;                /* one of these two, or neither */
	struct acceptor *next;
};

struct worker {
	struct service service; /* first: the service's callbacks lead back to the worker */
	unsigned index;
	pthread_t thread;
	bool started;
	struct ev_loop *loop, *main_loop;
	ev_async *on_ended;
	ev_async wake;
	ev_prepare before_sleep;
	ev_timer pause;
	bool paused;
	const char *pause_reason; /* told once, until accepting goes on without a pause */
	struct acceptor *acceptors;
	enum worker_mode mode;
	_Atomic(struct worker_order *) next_order;
	atomic_uint orders_given, orders_done, pings, pongs, sessions;
	atomic_bool deaf, ended; /* deaf: no errand is run any more */
	struct errands errands;
};

static void acceptors_start(struct worker *worker)
{
	for (struct acceptor *acceptor = worker->acceptors; acceptor; acceptor = acceptor->next)
		ev_io_start(worker->loop, &acceptor->io);
}

static void acceptors_stop(struct worker *worker)
{
	for (struct acceptor *acceptor = worker->acceptors; acceptor; acceptor = acceptor->next)
		ev_io_stop(worker->loop, &acceptor->io);
}

static void set_pause_timer(struct worker *worker, double seconds)
{
	ev_timer_stop(worker->loop, &worker->pause);
	ev_timer_set(&worker->pause, seconds, 0.);
	ev_timer_start(worker->loop, &worker->pause);
}

/* Connections wait in the kernel's queue meanwhile; nothing spins and nothing is refused. */
static void pause_accepting(struct worker *worker, const char *reason)
{
	if (!worker->pause_reason)
		log_warning("accepting is paused: %s", reason);
	worker->pause_reason = reason;
	worker->paused = true;
	acceptors_stop(worker);
	set_pause_timer(worker, PAUSE_SECONDS);
}

static void resume_accepting(struct worker *worker)
{
	worker->paused = false;
	set_pause_timer(worker, RECOVERED_SECONDS);
	acceptors_start(worker);
}

/* At its limit a worker pauses and resumes with each connection: that is one story, not hundreds. */
static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *worker = timer->data;
	(void)loop, (void)events;
	if (worker->paused) {
		resume_accepting(worker);
		return;
	}
	log_info("accepting again");
	worker->pause_reason = NULL;
}

#define NO_DESCRIPTORS "out of file descriptors (LimitNOFILE=)"

/* NULL, or why nobody is let in now. */
static const char *why_full(const struct worker *worker)
{
	const struct limits *limits = worker->service.limits;
	unsigned most = routes_config(worker->service.routes)->proxy.max_connections;
	unsigned now = atomic_load(&limits->connections);
	if (most > 0 && now >= most)
		return "max_connections reached";
	return now >= limits->connections_most ? NO_DESCRIPTORS : NULL;
}

/* False when there is nothing more to accept now. */
static bool accept_failed(struct acceptor *acceptor)
{
	struct worker *worker = acceptor->worker;
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		if (pipes_trim(worker->service.lane.pipes) > 0)
			return true;
		pause_accepting(worker, errno == EMFILE || errno == ENFILE
				? NO_DESCRIPTORS
				: "out of memory for sockets");
		return false;
	case EINVAL:
		log_error("%s: another process has shut this socket down", acceptor->listener->text);
		ev_io_stop(worker->loop, &acceptor->io);
		return false;
	default:
		return true; /* that connection is gone already, or a signal came */
	}
}

static bool is_within(const struct network *network, const struct in6_addr *address)
{
	unsigned bytes = network->bits / 8, rest = network->bits % 8;
	if (memcmp(network->address.s6_addr, address->s6_addr, bytes) != 0)
		return false;
	uint8_t mask = (uint8_t)(0xff00 >> rest);
	return rest == 0 ||
		((network->address.s6_addr[bytes] ^ address->s6_addr[bytes]) & mask) == 0;
}

/* Behind a unix socket whoever may open it is trusted. */
static bool is_trusted_proxy(const struct listener_config *config, const struct sockaddr *source)
{
	struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (!config || config->accept_proxy_count == 0)
		return false;
	if (source->sa_family == AF_INET)
		memcpy(address.s6_addr + 12, &((const struct sockaddr_in *)source)->sin_addr, 4);
	else if (source->sa_family == AF_INET6)
		address = ((const struct sockaddr_in6 *)source)->sin6_addr;
	else
		return true;
	for (size_t i = 0; i < config->accept_proxy_count; i++)
		if (is_within(&config->accept_proxy[i], &address))
			return true;
	return false;
}

static const struct step *steps_for(
	const struct acceptor *acceptor, const struct sockaddr *source)
{
	if (is_trusted_proxy(acceptor->config, source))
		return proxied_steps;
	return acceptor->forward ? forward_steps : router_steps;
}

static bool accept_one(struct acceptor *acceptor)
{
	struct worker *worker = acceptor->worker;
	union {
		struct sockaddr any;
		struct sockaddr_in6 v6;
	} source;
	socklen_t len = sizeof source;
	const char *full = why_full(worker);
	if (full) {
		pause_accepting(worker, full);
		return false;
	}
	int fd = accept4(acceptor->io.fd, &source.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return accept_failed(acceptor);
	session_start(&worker->service, fd, &source.any, acceptor->listener,
		steps_for(acceptor, &source.any), acceptor->forward);
	atomic_store_explicit(&worker->sessions, worker->service.count, memory_order_relaxed);
	return true;
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop, (void)events;
	for (int i = 0; i < ACCEPTED_MOST; i++)
		if (!accept_one(io->data))
			return;
}

static void on_session_gone(struct service *service)
{
	struct worker *worker = (struct worker *)service;
	atomic_store_explicit(&worker->sessions, service->count, memory_order_relaxed);
	if (worker->paused)
		resume_accepting(worker);
	if (worker->mode != WORKER_SERVE && service->count == 0)
		ev_break(worker->loop, EVBREAK_ALL);
}

static struct acceptor *acceptor_of(struct worker *worker, const struct listener *listener)
{
	for (struct acceptor *acceptor = worker->acceptors; acceptor; acceptor = acceptor->next)
		if (acceptor->listener == listener)
			return acceptor;
	return NULL;
}

static void add_acceptor(struct worker *worker, struct listener *listener, unsigned slot)
{
	struct acceptor *acceptor = calloc(1, sizeof *acceptor);
	if (!acceptor) {
		log_error("out of memory: a worker does not listen on %s", listener->text);
		return;
	}
	acceptor->worker = worker;
	acceptor->listener = listener;
	acceptor->slot = slot;
	ev_io_init(&acceptor->io, on_connection, listener->fds[slot], EV_READ);
	acceptor->io.data = acceptor;
	acceptor->next = worker->acceptors;
	worker->acceptors = acceptor;
	if (!worker->paused)
		ev_io_start(worker->loop, &acceptor->io);
}

static bool is_listed(const struct worker_order *order, const struct listener *listener)
{
	for (unsigned i = 0; order->mode == WORKER_SERVE && i < order->listener_count; i++)
		if (order->listeners[i] == listener)
			return true;
	return false;
}

/*
 * Who has been let in by the kernel is served, and nobody is to come after: the descriptor is closed
 * by the thread whose loop knows it (a passed one goes on for whoever else has it).
 */
static void let_go(struct worker *worker, struct acceptor *acceptor)
{
	ev_io_stop(worker->loop, &acceptor->io);
	for (unsigned i = 0; i < QUEUED_MOST && !acceptor->listener->is_passed; i++)
		if (!accept_one(acceptor))
			break;
	close(acceptor->io.fd);
	acceptor->listener->fds[acceptor->slot] = -1;
	free(acceptor);
}

/* Listeners that stay are not touched: closing one would drop what is queued on it. */
static void leave_listeners(struct worker *worker, const struct worker_order *order)
{
	for (struct acceptor **at = &worker->acceptors; *at;) {
		struct acceptor *acceptor = *at;
		if (is_listed(order, acceptor->listener)) {
			at = &acceptor->next;
			continue;
		}
		*at = acceptor->next;
		let_go(worker, acceptor);
	}
}

/* One socket, unless this gatehouse took over from one with more workers. */
static void join_listener(struct worker *worker, struct listener *listener)
{
	for (unsigned slot = worker->index; slot < listener->count; slot += listener->workers)
		add_acceptor(worker, listener, slot);
}

static void join_listeners(struct worker *worker, const struct worker_order *order)
{
	for (unsigned i = 0; order->mode == WORKER_SERVE && i < order->listener_count; i++)
		if (!acceptor_of(worker, order->listeners[i]))
			join_listener(worker, order->listeners[i]);
}

static void follow_config(struct worker *worker)
{
	for (struct acceptor *acceptor = worker->acceptors; acceptor; acceptor = acceptor->next) {
		acceptor->config = routes_listener(
			worker->service.routes, acceptor->listener->text, &acceptor->forward);
	}
}

static void follow(struct worker *worker, struct worker_order *order)
{
	worker->mode = order->mode;
	leave_listeners(worker, order); /* under the old snapshot, which they point into */
	if (order->routes != worker->service.routes) {
		routes_unref(worker->service.routes);
		worker->service.routes = order->routes;
		revalidate_all(&worker->service);
	} else {
		routes_unref(order->routes);
	}
	counting_follow(&worker->service, order->counting);
	join_listeners(worker, order);
	if (worker->service.routes)
		follow_config(worker);
	if (order->mode == WORKER_STOP)
		sessions_end_all(&worker->service, "gatehouse stops");
	/* The first of those let in last may have been gone before the next came. */
	bool is_over = order->mode != WORKER_SERVE && worker->service.count == 0;
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
	errands_run(&worker->errands, &worker->service);
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
	ev_timer_init(&worker->pause, on_pause_over, PAUSE_SECONDS, 0.);
	worker->wake.data = worker->before_sleep.data = worker->pause.data = worker;
	ev_async_start(worker->loop, &worker->wake);
	ev_prepare_start(worker->loop, &worker->before_sleep);
	return true;
}

static void worker_free(struct worker *worker)
{
	if (worker->service.resolver)
		resolver_destroy(worker->service.resolver);
	lane_finish(&worker->service.lane);
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
	if (!init_loop(worker, err) || !lane_init(&worker->service.lane, worker->loop, err) ||
		!(worker->service.resolver = resolver_create(worker->loop, NULL, err)) ||
		!(worker->service.counters = counters_create())) {
		worker_free(worker);
		return NULL;
	}
	pipes_limit(worker->service.lane.pipes, limits->pipes_most);
	flood_init(&worker->service.flood, worker->loop);
	counting_init(&worker->service);
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
	flood_finish(&worker->service.flood);
	revalidate_finish(&worker->service);
	counting_follow(&worker->service, false);
	log_flush();
	log_batch(false);
	atomic_store(&worker->deaf, true);
	errands_drop(&worker->errands);
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
	return atomic_load_explicit(&worker->sessions, memory_order_relaxed);
}

const struct counters *worker_counters(const struct worker *worker)
{
	return worker->service.counters;
}

/* One that comes too late for the thread is told so here, and only once. */
void worker_ask(struct worker *worker, struct errand *errand)
{
	errands_add(&worker->errands, errand, worker->loop, &worker->wake);
	if (atomic_load(&worker->deaf))
		errands_drop(&worker->errands);
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
