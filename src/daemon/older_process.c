#include "daemon/older_process.h"

#include "session/engine.h"
#include "session/steps/steps.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* On its way, from a worker to the main thread. */
struct returned_connection {
	struct returned_connection *next;
	int fd;
	struct returned_from from;
};

static void set_from(
	struct returned_from *from, const char *listener, const struct sockaddr *source)
{
	strncpy(from->listener, listener, sizeof from->listener - 1);
	if (source->sa_family == AF_INET)
		memcpy(&from->source.v4, source, sizeof from->source.v4);
	else if (source->sa_family == AF_INET6)
		memcpy(&from->source.v6, source, sizeof from->source.v6);
	else
		from->source.any.sa_family = AF_UNIX;
}

/* On a worker's thread. */
static bool return_connection(
	void *owner, int fd, const char *listener, const struct sockaddr *source)
{
	struct older_process *older = owner;
	struct returned_connection *connection = calloc(1, sizeof *connection);
	if (!connection)
		return false;
	connection->fd = fd;
	set_from(&connection->from, listener, source);
	connection->next = atomic_load(&older->newest);
	while (!atomic_compare_exchange_weak(&older->newest, &connection->next, connection))
		;
	wakeup_send(&older->wakeup);
	return true;
}

static void send_returned(void *owner)
{
	struct older_process *older = owner;
	struct returned_connection *next, *connection = atomic_exchange(&older->newest, NULL);
	for (; connection; connection = next) {
		next = connection->next;
		handover_return(older->handover, connection->fd, &connection->from);
		close(connection->fd);
		free(connection);
	}
}

bool older_process_open(struct older_process *older, struct ev_loop *loop,
	struct handover *handover, struct limits *limits, struct err *err)
{
	older->handover = handover;
	older->limits = limits;
	limits->return_connection = return_connection;
	limits->older_process = older;
	return wakeup_open(&older->wakeup, loop, send_returned, older, err);
}

void older_process_begin(struct older_process *older)
{
	atomic_store(&older->limits->has_older_process, true);
}

void older_process_end(struct older_process *older)
{
	atomic_store(&older->limits->has_older_process, false);
}

void older_process_close(struct older_process *older)
{
	if (!older->handover)
		return;
	send_returned(older);
	wakeup_close(&older->wakeup);
}

/* The other side. */

struct served {
	struct task task; /* first */
	int fd;
	struct listener *listener;
	struct returned_from from;
};

static bool serve(struct task *task, struct service *service)
{
	struct served *served = (struct served *)task;
	struct session_start start = {
		.fd = served->fd, .source = &served->from.source.any, .listener = served->listener};
	start.listener_config =
		routes_listener(service->routes, served->listener->text, &start.forward);
	start.steps = steps_for(start.listener_config, start.forward, false);
	served->fd = -1;
	session_start(service, &start);
	return true;
}

static void serve_done(struct task *task)
{
	struct served *served = (struct served *)task;
	if (served->fd >= 0)
		close(served->fd);
	free(served);
}

static struct worker *any_worker(const struct workers *workers)
{
	for (unsigned i = 0; i < workers_count(workers); i++)
		if (!worker_has_ended(workers_at(workers, i)))
			return workers_at(workers, i);
	return NULL;
}

void older_process_serve(const struct workers *workers, const struct listening *listening, int fd,
	const struct returned_from *from)
{
	struct worker *worker = any_worker(workers);
	struct listener *listener = listening_find(listening, from->listener);
	struct served *served = worker && listener ? calloc(1, sizeof *served) : NULL;
	if (!served) {
		close(fd);
		return;
	}
	*served = (struct served){.task = {.run = serve, .done = serve_done},
		.fd = fd,
		.listener = listener,
		.from = *from};
	worker_add_task(worker, &served->task);
}
