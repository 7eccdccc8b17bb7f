/*
 * The floor: a passthrough proxy that makes only the system calls no proxy can do without. It
 * routes nothing, has no timeouts, no limits and no log. What gatehouse costs above it is
 * gatehouse's own.
 *
 * usage: floor copy|splice PORT BACKEND_PORT
 *   copy    accept4, peek, socket, connect, recv and send, shutdown, close
 *   splice  the same with a 1 MiB pipe for each direction that carries bytes
 */
#include "command.h"
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256
#define COPY_SIZE      (16 * 1024)
#define PIPE_SIZE      (1024 * 1024)

enum flow { FLOW_DRY, FLOW_BLOCKED, FLOW_ENDED, FLOW_BROKEN };

/* One direction: from a socket to the other, with what is between them. */
struct direction {
	size_t waiting; /* bytes in the pipe, or in the stash */
	size_t stash_start;
	unsigned char *stash;
	int pipe[2];
	bool is_piped;
	bool is_ending; /* a FIN has been announced: read up to it */
	bool has_ended;
};

struct end {
	struct pair *pair;
	int fd;
	struct direction from; /* the bytes that arrive here */
};

struct pair {
	struct end client, upstream;
	bool is_dead;
	struct pair *next_dead;
};

static int epoll;
static bool is_splicing;
static struct sockaddr_in backend;
static struct pair *dead;
static unsigned char copy_buffer[COPY_SIZE];

static struct end *other(struct end *end)
{
	return end == &end->pair->client ? &end->pair->upstream : &end->pair->client;
}

static void direction_close(struct direction *d)
{
	free(d->stash);
	if (d->is_piped) {
		close(d->pipe[0]);
		close(d->pipe[1]);
	}
}

/* Events of the same batch may still name the pair: memory goes after the batch. */
static void pair_close(struct pair *pair)
{
	if (pair->is_dead)
		return;
	pair->is_dead = true;
	close(pair->client.fd);
	if (pair->upstream.fd >= 0)
		close(pair->upstream.fd);
	direction_close(&pair->client.from);
	direction_close(&pair->upstream.from);
	pair->next_dead = dead;
	dead = pair;
}

static void free_dead(void)
{
	while (dead) {
		struct pair *next = dead->next_dead;
		free(dead);
		dead = next;
	}
}

static enum flow blocked_or_broken(void)
{
	return errno == EAGAIN ? FLOW_BLOCKED : FLOW_BROKEN;
}

static enum flow flush_stash(struct direction *d, int to)
{
	while (d->waiting > 0) {
		ssize_t n = send(to, d->stash + d->stash_start, d->waiting, MSG_NOSIGNAL);
		if (n < 0)
			return blocked_or_broken();
		d->stash_start += (size_t)n;
		d->waiting -= (size_t)n;
	}
	return FLOW_DRY;
}

static enum flow stash_rest(struct direction *d, const unsigned char *bytes, size_t length)
{
	if (!d->stash)
		d->stash = malloc(COPY_SIZE);
	if (!d->stash)
		return FLOW_BROKEN;
	memcpy(d->stash, bytes, length);
	d->stash_start = 0;
	d->waiting = length;
	return FLOW_BLOCKED;
}

/* A short read empties a socket: with edge-triggered events what comes next makes a new event. */
static enum flow copy(struct direction *d, int from, int to)
{
	enum flow flow = flush_stash(d, to);

	while (flow == FLOW_DRY) {
		ssize_t n = recv(from, copy_buffer, COPY_SIZE, 0);
		if (n < 0)
			return errno == EAGAIN ? FLOW_DRY : FLOW_BROKEN;
		if (n == 0)
			return FLOW_ENDED;
		ssize_t sent = send(to, copy_buffer, (size_t)n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return FLOW_BROKEN;
		size_t done = sent < 0 ? 0 : (size_t)sent;
		if (done < (size_t)n)
			return stash_rest(d, copy_buffer + done, (size_t)n - done);
		if (n < COPY_SIZE && !d->is_ending)
			return FLOW_DRY;
	}
	return flow;
}

static bool open_pipe(struct direction *d)
{
	if (d->is_piped)
		return true;
	if (pipe2(d->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
		return false;
	d->is_piped = true;
	fcntl(d->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
	return true;
}

static enum flow drain_pipe(struct direction *d, int to)
{
	while (d->waiting > 0) {
		ssize_t n = splice(
			d->pipe[0], NULL, to, NULL, d->waiting, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0)
			return blocked_or_broken();
		d->waiting -= (size_t)n;
	}
	return FLOW_DRY;
}

static enum flow splice_through(struct direction *d, int from, int to)
{
	if (!open_pipe(d))
		return FLOW_BROKEN;
	for (;;) {
		enum flow flow = drain_pipe(d, to);
		if (flow != FLOW_DRY)
			return flow;
		ssize_t n = splice(
			from, NULL, d->pipe[1], NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0)
			return errno == EAGAIN ? FLOW_DRY : FLOW_BROKEN;
		if (n == 0)
			return FLOW_ENDED;
		d->waiting = (size_t)n;
	}
}

static void move_bytes(struct end *from)
{
	struct end *to = other(from);
	struct direction *d = &from->from;

	if (d->has_ended)
		return;
	enum flow flow = (is_splicing ? splice_through : copy)(d, from->fd, to->fd);
	if (flow == FLOW_ENDED) {
		d->has_ended = true;
		if (!to->from.has_ended)
			shutdown(to->fd, SHUT_WR);
	}
	if (flow == FLOW_BROKEN || (d->has_ended && to->from.has_ended))
		pair_close(from->pair);
}

static bool watch(struct end *end)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, end->fd, &event) == 0;
}

/* A client that has sent nothing yet is tried again at its next event. */
static void connect_upstream(struct pair *pair)
{
	unsigned char first;
	ssize_t n = recv(pair->client.fd, &first, 1, MSG_PEEK);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || first != TLS_HANDSHAKE_RECORD) {
		pair_close(pair);
		return;
	}
	pair->upstream.fd = connect_to(&backend);
	if (pair->upstream.fd < 0 || !watch(&pair->upstream))
		pair_close(pair);
	else
		move_bytes(&pair->client);
}

static void on_event(struct end *end, uint32_t events)
{
	struct pair *pair = end->pair;

	if (pair->is_dead)
		return;
	if (events & EPOLLRDHUP)
		end->from.is_ending = true;
	if (pair->upstream.fd < 0) {
		connect_upstream(pair);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		move_bytes(end);
	if (!pair->is_dead && (events & EPOLLOUT) && other(end)->from.waiting > 0)
		move_bytes(other(end));
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct pair *pair = calloc(1, sizeof(*pair));
		if (!pair)
			die("calloc");
		set_nodelay(fd);
		pair->client = (struct end){.pair = pair, .fd = fd};
		pair->upstream = (struct end){.pair = pair, .fd = -1};
		if (!watch(&pair->client))
			pair_close(pair);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_AT_ONCE];

	if (argc != 4 || (strcmp(argv[1], "copy") != 0 && strcmp(argv[1], "splice") != 0)) {
		fprintf(stderr, "usage: floor copy|splice PORT BACKEND_PORT\n");
		return 2;
	}
	is_splicing = strcmp(argv[1], "splice") == 0;
	raise_descriptor_limit();
	backend = loopback(port_from(argv[3]));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = listen_on(port_from(argv[2]));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll_ctl");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else
				accept_all(listener);
		}
		free_dead();
	}
}
