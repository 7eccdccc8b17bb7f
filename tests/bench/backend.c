/*
 * The backend behind every proxy: reads a command (command.h), then does its rounds, checking each
 * byte that it gets. It never starts the close: it waits for the client's end of file, as it came
 * through the proxy.
 *
 * usage: backend PORT...        prints "ready" once it listens on all of them
 */
#include "command.h"
#include "pattern.h"
#include "sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256
#define HEAD_MAX       2048 /* a ClientHello and perhaps the first bytes after it */

enum phase { PHASE_HEAD, PHASE_RECEIVE, PHASE_SEND, PHASE_FINISHED };
enum outcome { GOES_ON, IS_OVER };

struct connection {
	int fd;
	enum phase phase;
	uint32_t interest;
	struct command command;
	uint64_t left; /* of the current half of the current round */
	uint64_t received, sent;
	size_t head_length;
	unsigned char head[HEAD_MAX];
};

static int epoll;
static unsigned char input[PATTERN_WINDOW];

static void begin_sending(struct connection *c)
{
	c->phase = PHASE_SEND;
	c->left = c->command.receives;
}

static void begin_round(struct connection *c)
{
	c->phase = PHASE_RECEIVE;
	c->left = c->command.sends;
	if (c->left == 0)
		begin_sending(c);
}

static enum outcome take(struct connection *c, const unsigned char *bytes, size_t length)
{
	if (length == 0)
		return GOES_ON;
	if (c->phase != PHASE_RECEIVE || length > c->left)
		return IS_OVER;
	if (!pattern_matches(bytes, length, c->received))
		return IS_OVER;
	c->received += length;
	c->left -= length;
	if (c->left == 0)
		begin_sending(c);
	return GOES_ON;
}

/* How long the head is, as far as can be told from what has come. */
static size_t head_size(const struct connection *c)
{
	if (c->head_length < COMMAND_SIZE || c->head[0] != TLS_HANDSHAKE_RECORD)
		return command_offset(c->head[0]) + COMMAND_SIZE;
	return 5 + ((size_t)c->head[3] << 8 | c->head[4]);
}

static enum outcome read_head(struct connection *c)
{
	ssize_t n = recv(c->fd, c->head + c->head_length, HEAD_MAX - c->head_length, 0);

	if (n < 0)
		return errno == EAGAIN ? GOES_ON : IS_OVER;
	if (n == 0)
		return IS_OVER;
	c->head_length += (size_t)n;
	size_t size = head_size(c);
	if (size > HEAD_MAX)
		return IS_OVER;
	if (c->head_length < size)
		return GOES_ON;
	if (!command_decode(&c->command, c->head + command_offset(c->head[0])))
		return IS_OVER;
	begin_round(c);
	return take(c, c->head + size, c->head_length - size);
}

static enum outcome receive(struct connection *c)
{
	ssize_t n = recv(c->fd, input, sizeof(input), 0);

	if (n < 0)
		return errno == EAGAIN ? GOES_ON : IS_OVER;
	if (n == 0)
		return IS_OVER;
	return take(c, input, (size_t)n);
}

static enum outcome send_answer(struct connection *c)
{
	size_t want = c->left < PATTERN_WINDOW ? (size_t)c->left : PATTERN_WINDOW;
	ssize_t n = send(c->fd, pattern_at(c->sent), want, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN ? GOES_ON : IS_OVER;
	c->sent += (uint64_t)n;
	c->left -= (uint64_t)n;
	if (c->left > 0)
		return GOES_ON;
	if (--c->command.rounds > 0)
		begin_round(c);
	else
		c->phase = PHASE_FINISHED;
	return GOES_ON;
}

static enum outcome advance(struct connection *c)
{
	enum outcome outcome = GOES_ON;

	if (c->phase == PHASE_HEAD)
		outcome = read_head(c);
	else if (c->phase != PHASE_SEND)
		outcome = receive(c);
	if (outcome == GOES_ON && c->phase == PHASE_SEND)
		outcome = send_answer(c);
	return outcome;
}

static void update_interest(struct connection *c)
{
	uint32_t wanted = c->phase == PHASE_SEND ? EPOLLOUT : EPOLLIN;
	struct epoll_event event = {.events = wanted, .data.ptr = c};

	if (wanted == c->interest)
		return;
	if (epoll_ctl(epoll, c->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event) < 0)
		die("epoll_ctl");
	c->interest = wanted;
}

static void serve(struct connection *c)
{
	if (advance(c) == IS_OVER) {
		close(c->fd);
		free(c);
		return;
	}
	update_interest(c);
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));
		if (!c)
			die("calloc");
		c->fd = fd;
		set_nodelay(fd);
		serve(c);
	}
}

/* Listeners are told from connections by their place in this array. */
static int listeners[64];

static bool is_listener(const void *pointer)
{
	return pointer >= (const void *)listeners && pointer < (const void *)(listeners + 64);
}

static void open_listeners(int count, char **ports)
{
	for (int i = 0; i < count && i < 64; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listeners[i]};
		listeners[i] = listen_on(port_from(ports[i]));
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, listeners[i], &event) < 0)
			die("epoll_ctl");
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_AT_ONCE];

	if (argc < 2 || argc > 65) {
		fprintf(stderr, "usage: backend PORT...\n");
		return 2;
	}
	raise_descriptor_limit();
	pattern_init();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	open_listeners(argc - 1, argv + 1);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);
		for (int i = 0; i < n; i++) {
			if (is_listener(events[i].data.ptr))
				accept_all(*(int *)events[i].data.ptr);
			else
				serve(events[i].data.ptr);
		}
	}
}
