#include "daemon/worker/acceptors.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/reserve.h"
#include "net/accept.h"
#include "net/pipes.h"
#include "session/steps/steps.h"
#include "wire/cidr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Connections accepted at one wake-up, and how long that may take, so that live ones get their turn:
 * where hellos wait already, a handshake begins with each.
 */
#define ACCEPTED_MAX 64
#define ACCEPTING_US 2000
#define QUEUED_MAX   65536 /* no queue of the kernel's is longer */

/* After so long without another pause the log says that accepting has resumed. */
#define RECOVERED_SECONDS 2.0

struct acceptor {
	ev_io io;
	struct acceptors *all;
	struct listener *listener;
	unsigned slot;                        /* which of the listener's sockets */
	bool is_shut;                         /* by another process; never accepts again */
	const struct listener_config *config; /* of the snapshot in service->routes; */
	struct route *forward;                /* one of these two, or neither */
	struct acceptor *next;
};

/* libev says that epoll failed at the next event of the loop only: this is one. */
static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)timer, (void)events;
}

static void acceptors_check_soon(struct acceptors *all)
{
	if (ev_is_active(&all->check))
		return;
	ev_timer_set(&all->check, ACCEPT_PAUSE_SECONDS, 0.);
	ev_timer_start(all->service->ctx.loop, &all->check);
}

static void acceptor_start(struct acceptor *acceptor)
{
	if (acceptor->is_shut)
		return;
	/* Within one turn of the loop libev takes a stop and a start for no change, unless it is set. */
	if (acceptor->all->is_unwatched && !ev_is_active(&acceptor->io))
		ev_io_set(&acceptor->io, acceptor->io.fd, EV_READ);
	ev_io_start(acceptor->all->service->ctx.loop, &acceptor->io);
}

static void acceptors_start(struct acceptors *all)
{
	for (struct acceptor *acceptor = all->first; acceptor; acceptor = acceptor->next)
		acceptor_start(acceptor);
	acceptors_check_soon(all);
}

static void acceptors_stop(struct acceptors *all)
{
	for (struct acceptor *acceptor = all->first; acceptor; acceptor = acceptor->next)
		ev_io_stop(all->service->ctx.loop, &acceptor->io);
}

static void set_pause_timer(struct acceptors *all, double seconds)
{
	ev_timer_stop(all->service->ctx.loop, &all->pause);
	ev_timer_set(&all->pause, seconds, 0.);
	ev_timer_start(all->service->ctx.loop, &all->pause);
}

/* Connections wait in the kernel's queue meanwhile; nothing spins and nothing is refused. */
static void pause_accepting(struct acceptors *all, const char *reason)
{
	if (!all->pause_reason)
		log_warning("accepting paused: %s", reason);
	all->pause_reason = reason;
	all->paused = true;
	acceptors_stop(all);
	set_pause_timer(all, ACCEPT_PAUSE_SECONDS);
}

static void resume_accepting(struct acceptors *all)
{
	all->paused = false;
	set_pause_timer(all, RECOVERED_SECONDS);
	acceptors_start(all);
}

/*
 * How many sockets are not accepted from, whatever the limits allow: the kernel does not watch them,
 * or another process has shut them down.
 */
static void count_deaf(struct acceptors *all)
{
	unsigned deaf = 0;
	for (struct acceptor *acceptor = all->first; acceptor; acceptor = acceptor->next)
		deaf += acceptor->is_shut || all->is_unwatched;
	counter_set(&all->service->counters->deaf, deaf);
}

/* At its limit a worker pauses and resumes with each connection: that is logged once. */
static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct acceptors *all = timer->data;
	(void)loop, (void)events;
	if (all->paused) {
		resume_accepting(all);
		return;
	}
	all->is_unwatched = false;
	count_deaf(all);
	log_info("accepting resumed");
	all->pause_reason = NULL;
}

/* NULL, or why no connection is accepted now. */
static const char *why_full(const struct acceptors *all)
{
	const struct limits *limits = all->service->limits;
	unsigned max = routes_config(all->service->routes)->proxy.max_connections;
	unsigned now = atomic_load(&limits->connections);
	if (max > 0 && now >= max)
		return "max_connections reached";
	return now >= limits->connections_max ? accept_starved_text(EMFILE) : NULL;
}

/* False when there is nothing more to accept now. */
static bool accept_failed(struct acceptor *acceptor)
{
	struct acceptors *all = acceptor->all;
	int error = errno;
	switch (accept_failure_of(error)) {
	case ACCEPT_EMPTY:
		return false;
	case ACCEPT_GONE:
		return true;
	case ACCEPT_STARVED:
		if (pipes_trim(all->service->ctx.pipes) > 0)
			return true;
		pause_accepting(all, accept_starved_text(error));
		return false;
	case ACCEPT_SHUT:
		break;
	}
	log_error("%s: another process has shut down this socket", acceptor->listener->text);
	ev_io_stop(all->service->ctx.loop, &acceptor->io);
	acceptor->is_shut = true;
	count_deaf(all);
	return false;
}

/* Behind a unix socket whoever may open it is trusted. */
static bool is_trusted_proxy(const struct listener_config *config, const struct sockaddr *source)
{
	struct in6_addr address;
	if (!config || config->accept_proxy_count == 0)
		return false;
	if (!cidr_address(source, &address))
		return true;
	for (size_t i = 0; i < config->accept_proxy_count; i++)
		if (network_contains(&config->accept_proxy[i], &address))
			return true;
	return false;
}

static bool accept_one(struct acceptor *acceptor)
{
	struct acceptors *all = acceptor->all;
	union {
		struct sockaddr any;
		struct sockaddr_in6 v6;
	} source;
	socklen_t len = sizeof source;
	const char *full = why_full(all);
	if (full) {
		pause_accepting(all, full);
		return false;
	}
	int fd = accept4(acceptor->io.fd, &source.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return accept_failed(acceptor);
	struct session_start start = {.fd = fd,
		.source = &source.any,
		.listener = acceptor->listener,
		.listener_config = acceptor->config,
		.steps = steps_for(acceptor->config, acceptor->forward,
			is_trusted_proxy(acceptor->config, &source.any)),
		.forward = acceptor->forward};
	session_start(all->service, &start);
	return true;
}

/* libev has stopped the watcher, as epoll_ctl(2) failed: tried again with the others, after a pause. */
static void accepting_failed(struct acceptors *all)
{
	all->is_unwatched = true;
	count_deaf(all);
	pause_accepting(all, "the kernel does not watch a socket");
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	struct acceptors *all = ((struct acceptor *)io->data)->all;
	if (events & EV_ERROR) {
		accepting_failed(all);
		return;
	}
	uint64_t until = clock_now_us() + ACCEPTING_US;
	for (int i = 0; i < ACCEPTED_MAX; i++) {
		if (!accept_one(io->data)) {
			all->service->has_backlog = all->paused;
			return;
		}
		if (clock_now_us() >= until || loop_ctx_is_exhausted(&all->service->ctx))
			break;
	}
	all->service->has_backlog = true;
}

static struct acceptor *acceptor_of(struct acceptors *all, const struct listener *listener)
{
	for (struct acceptor *acceptor = all->first; acceptor; acceptor = acceptor->next)
		if (acceptor->listener == listener)
			return acceptor;
	return NULL;
}

/* The kernel queues clients on every socket: none may be left alone for lack of memory. */
static void acceptor_add(struct acceptors *all, struct listener *listener, unsigned slot)
{
	struct acceptor *acceptor = reserve_resize(NULL, sizeof *acceptor);
	*acceptor = (struct acceptor){.all = all, .listener = listener, .slot = slot};
	ev_io_init(&acceptor->io, on_connection, listener->fds[slot], EV_READ);
	acceptor->io.data = acceptor;
	/* In each turn of the loop live connections come first. */
	ev_set_priority(&acceptor->io, EV_MINPRI);
	acceptor->next = all->first;
	all->first = acceptor;
	if (all->paused)
		return;
	ev_io_start(all->service->ctx.loop, &acceptor->io);
	acceptors_check_soon(all);
}

static bool is_listed(struct listener **listeners, unsigned count, const struct listener *listener)
{
	for (unsigned i = 0; i < count; i++)
		if (listeners[i] == listener)
			return true;
	return false;
}

/*
 * Connections that the kernel has accepted are served, and none follow them: the descriptor is
 * closed by the thread whose loop knows it. An inherited one stays open in the process that lent it.
 */
static void acceptor_close(struct acceptors *all, struct acceptor *acceptor)
{
	ev_io_stop(all->service->ctx.loop, &acceptor->io);
	for (unsigned i = 0; i < QUEUED_MAX && !acceptor->listener->is_inherited; i++)
		if (!accept_one(acceptor))
			break;
	close(acceptor->io.fd);
	acceptor->listener->fds[acceptor->slot] = -1;
	reserve_resize(acceptor, 0);
}

/* Listeners that stay are not touched: closing one would drop what is queued on it. */
void acceptors_leave(struct acceptors *all, struct listener **listeners, unsigned count)
{
	for (struct acceptor **at = &all->first; *at;) {
		struct acceptor *acceptor = *at;
		if (is_listed(listeners, count, acceptor->listener)) {
			at = &acceptor->next;
			continue;
		}
		*at = acceptor->next;
		acceptor_close(all, acceptor);
	}
	count_deaf(all);
}

/* One socket, unless this process took over from one with more workers. */
static void join_listener(struct acceptors *all, struct listener *listener)
{
	for (unsigned slot = all->worker; slot < listener->count; slot += listener->workers)
		acceptor_add(all, listener, slot);
}

static void follow_config(struct acceptors *all)
{
	for (struct acceptor *acceptor = all->first; acceptor; acceptor = acceptor->next)
		acceptor->config = routes_listener(
			all->service->routes, acceptor->listener->text, &acceptor->forward);
}

void acceptors_join(struct acceptors *all, struct listener **listeners, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!acceptor_of(all, listeners[i]))
			join_listener(all, listeners[i]);
	if (all->service->routes)
		follow_config(all);
}

void acceptors_session_gone(struct acceptors *all)
{
	if (all->paused)
		resume_accepting(all);
}

void acceptors_init(struct acceptors *all, struct service *service, unsigned worker)
{
	*all = (struct acceptors){.service = service, .worker = worker};
	ev_timer_init(&all->pause, on_pause_over, ACCEPT_PAUSE_SECONDS, 0.);
	all->pause.data = all;
	ev_timer_init(&all->check, on_check, ACCEPT_PAUSE_SECONDS, 0.);
}
