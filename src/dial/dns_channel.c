#include "dial/dns_channel.h"

#include "base/ring.h"
#include "net/steady_io.h"

#include <ares.h>
#include <stdlib.h>
#include <string.h>

enum { TRY_MS = 2000, TRIES = 2 };
enum { ROOTED_MAX = 254 }; /* of a name with a final dot */

struct dns_channel {
	struct ev_loop *loop;
	ares_channel ares;
	ares_channel hosts; /* looks in /etc/hosts alone; NULL until a name needs that */
	dns_idle_fn *on_idle;
	void *owner;
	ev_timer timeout; /* what c-ares waits for next */
	ev_timer check;   /* for sockets that the kernel does not watch */
	struct ring sockets;
	size_t pending;               /* questions under way */
	bool is_destroyed, is_asking; /* inside ares_destroy; inside ares_getaddrinfo */
};

struct dns_socket {
	struct ring ring;
	struct dns_channel *channel;
	ev_io io;
};

struct dns_question {
	struct dns_channel *channel;
	const char *name; /* lent while it is put */
	dns_answer_fn *on_answer;
	void *owner;
};

static void channel_arm_timeout(struct dns_channel *channel)
{
	struct timeval room;
	struct timeval *next = ares_timeout(channel->ares, NULL, &room);
	ev_timer_stop(channel->loop, &channel->timeout);
	if (!next)
		return;
	double seconds = (double)next->tv_sec + (double)next->tv_usec / 1e6;
	ev_timer_set(&channel->timeout, seconds, 0.0);
	ev_timer_start(channel->loop, &channel->timeout);
}

/* The last thing that a callback does: the channel may be gone afterwards. */
static void channel_process(
	struct dns_channel *channel, ares_socket_t readable, ares_socket_t writable)
{
	ares_process_fd(channel->ares, readable, writable);
	channel_arm_timeout(channel);
	if (channel->pending == 0)
		channel->on_idle(channel->owner, channel);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	channel_process(timer->data, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/*
 * When epoll_ctl(2) fails for want of memory libev stops the watcher, and says so at the next event of the
 * loop only (net/steady_io.h): a timer looks after each start.
 */
static void channel_check_soon(struct dns_channel *channel)
{
	if (ev_is_active(&channel->check))
		return;
	ev_timer_set(&channel->check, STEADY_IO_RETRY_SECONDS, 0.);
	ev_timer_start(channel->loop, &channel->check);
}

static void socket_watch(struct dns_socket *socket, int events)
{
	struct dns_channel *channel = socket->channel;
	ev_io_stop(channel->loop, &socket->io);
	ev_io_set(&socket->io, socket->io.fd, events);
	ev_io_start(channel->loop, &socket->io);
	channel_check_soon(channel);
}

static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct dns_channel *channel = timer->data;
	(void)loop, (void)events;
	for (struct ring *at = channel->sockets.next; at != &channel->sockets; at = at->next) {
		struct dns_socket *socket = (struct dns_socket *)at;
		if (!ev_is_active(&socket->io))
			socket_watch(socket, socket->io.events & (EV_READ | EV_WRITE));
	}
}

/* The socket may be closed, and `io` freed, by what it brings. */
static void on_socket_ready(struct ev_loop *loop, ev_io *io, int events)
{
	struct dns_socket *socket = io->data;
	int fd = io->fd;
	(void)loop;
	if (events & EV_ERROR) {
		channel_check_soon(socket->channel);
		return;
	}
	channel_process(socket->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
		events & EV_WRITE ? fd : ARES_SOCKET_BAD);
}

static struct dns_socket *socket_find(struct dns_channel *channel, int fd)
{
	for (struct ring *at = channel->sockets.next; at != &channel->sockets; at = at->next) {
		struct dns_socket *socket = (struct dns_socket *)at;
		if (socket->io.fd == fd)
			return socket;
	}
	return NULL;
}

/* Without memory the socket is not read, and the question times out. */
static struct dns_socket *socket_add(struct dns_channel *channel, int fd)
{
	struct dns_socket *socket = calloc(1, sizeof *socket);
	if (!socket)
		return NULL;
	socket->channel = channel;
	ev_io_init(&socket->io, on_socket_ready, fd, EV_NONE);
	socket->io.data = socket;
	ring_insert_after(&channel->sockets, &socket->ring);
	return socket;
}

static void on_socket_state(void *owner, ares_socket_t fd, int readable, int writable)
{
	struct dns_channel *channel = owner;
	struct dns_socket *socket = socket_find(channel, fd);
	if (!socket && (readable || writable))
		socket = socket_add(channel, fd);
	if (!socket)
		return;
	if (readable || writable) {
		socket_watch(socket, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
		return;
	}
	ev_io_stop(channel->loop, &socket->io);
	ring_remove(&socket->ring);
	free(socket);
}

static int channel_open(struct dns_channel *channel, const struct dns_source *source)
{
	char lookups[] = "fb"; /* /etc/hosts first, then DNS */
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES,
		.timeout = TRY_MS,
		.tries = TRIES,
		.udp_port = source->port,
		.tcp_port = source->port,
		.lookups = lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = channel,
		.resolvconf_path = (char *)(uintptr_t)source->resolv_conf,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
		ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;
	if (source->port)
		mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
	return ares_init_options(&channel->ares, &options, mask);
}

struct dns_channel *dns_channel_create(struct ev_loop *loop, const struct dns_source *source,
	dns_idle_fn *on_idle, void *owner, struct err *err)
{
	struct dns_channel *channel = calloc(1, sizeof *channel);
	if (!channel) {
		err_set(err, "out of memory");
		return NULL;
	}
	channel->loop = loop;
	channel->on_idle = on_idle;
	channel->owner = owner;
	ring_init(&channel->sockets);
	ev_timer_init(&channel->timeout, on_timeout, 0.0, 0.0);
	ev_timer_init(&channel->check, on_check, 0.0, 0.0);
	channel->timeout.data = channel->check.data = channel;
	int status = channel_open(channel, source);
	if (status == ARES_SUCCESS)
		return channel;
	err_set(err, "%s", ares_strerror(status));
	free(channel);
	return NULL;
}

void dns_channel_destroy(struct dns_channel *channel)
{
	if (!channel)
		return;
	channel->is_destroyed = true;
	if (channel->hosts)
		ares_destroy(channel->hosts);
	ares_destroy(channel->ares); /* closes the sockets, which ends their watchers */
	ev_timer_stop(channel->loop, &channel->timeout);
	ev_timer_stop(channel->loop, &channel->check);
	free(channel);
}

bool dns_channel_is_idle(const struct dns_channel *channel)
{
	return channel->pending == 0;
}

static void on_ares_answer(void *owner, int status, int timeouts, struct ares_addrinfo *found)
{
	struct dns_question question = *(struct dns_question *)owner;
	struct dns_channel *channel = question.channel;
	struct dns_answer answer;
	(void)timeouts;
	free(owner);
	channel->pending--;
	if (!channel->is_destroyed) {
		/* Only /etc/hosts answers while the question is being put. */
		dns_answer_read(&answer, status, found, channel->is_asking);
		question.on_answer(question.owner, &answer);
	}
	ares_freeaddrinfo(found);
}

static const struct ares_addrinfo_hints hints = {
	.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

/* Not in /etc/hosts: the name as it is. */
static void on_hosts_answer(void *owner, int status, int timeouts, struct ares_addrinfo *found)
{
	struct dns_question *question = owner;
	if (status == ARES_SUCCESS) {
		on_ares_answer(owner, status, timeouts, found);
		return;
	}
	ares_freeaddrinfo(found);
	ares_getaddrinfo(
		question->channel->ares, question->name, NULL, &hints, on_ares_answer, question);
}

static bool open_hosts(struct dns_channel *channel)
{
	char lookups[] = "f";
	struct ares_options options = {.lookups = lookups};
	return channel->hosts ||
		ares_init_options(&channel->hosts, &options, ARES_OPT_LOOKUPS) == ARES_SUCCESS;
}

/*
 * The final dot of "localhost." says that no search domain is to be appended. Names in /etc/hosts have
 * none, and c-ares compares with it.
 */
static void ask_rooted(struct dns_channel *channel, struct dns_question *question, size_t len)
{
	char name[ROOTED_MAX + 1];
	memcpy(name, question->name, len - 1);
	name[len - 1] = '\0';
	ares_getaddrinfo(channel->hosts, name, NULL, &hints, on_hosts_answer, question);
}

void dns_channel_ask(
	struct dns_channel *channel, const char *name, dns_answer_fn *on_answer, void *owner)
{
	struct dns_question *question = malloc(sizeof *question);
	size_t len = strlen(name);
	if (!question) {
		on_answer(owner, &(struct dns_answer){.error = dns_error_text(ARES_ENOMEM)});
		return;
	}
	*question = (struct dns_question){channel, name, on_answer, owner};
	channel->pending++;
	channel->is_asking = true;
	if (len > 1 && len <= ROOTED_MAX && name[len - 1] == '.' && open_hosts(channel))
		ask_rooted(channel, question, len);
	else
		ares_getaddrinfo(channel->ares, name, NULL, &hints, on_ares_answer, question);
	channel->is_asking = false;
	channel_arm_timeout(channel);
}
