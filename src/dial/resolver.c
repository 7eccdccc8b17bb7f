#include "dial/resolver.h"

#include "base/clock.h"
#include "base/hash.h"

#include <ares.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RESOLV_CONF  "/etc/resolv.conf"
#define NAME_MAX_LEN 254 /* 253, and a trailing dot */

#define SECOND        UINT64_C(1000000) /* every time here is in microseconds */
#define LIFE_MIN      (1 * SECOND)
#define LIFE_MAX      (3600 * SECOND)
#define LIFE_OF_HOSTS (30 * SECOND)
#define LIFE_OF_ERROR (5 * SECOND)
#define LIFE_OF_STALE (3600 * SECOND)

/* How long who asks waits for fresh news while there is a stale answer (RFC 8767 section 5). */
#define PATIENCE_SECONDS 1.8

enum { BUCKETS = 1024, TRY_MS = 2000, TRIES = 2 };

/* A ring of list elements; its head is one too. It is the first member of what it links. */
struct link {
	struct link *prev, *next;
};

struct lookup {
	struct link link; /* in its name's `waiting`, or in the resolver's `ready` */
	struct name *name;
	uint16_t port;
	resolved_fn *on_resolved;
	void *owner;
};

/*
 * A name and what is known of it: addresses (IPv4 as v4-mapped), or why there are none.
 *
 *     now < fresh_until                        the answer is used
 *     is_stale_good and now < usable_until     so is an expired one, as asking brought nothing
 *     now >= ask_at                            a use asks again
 */
struct name {
	struct link link; /* in `recent` */
	struct name *next_in_bucket;
	struct resolver *resolver;
	struct link waiting;
	ev_timer patience;
	size_t holds; /* lookups and questions that point here: while there are any, it stays */
	bool is_asking, is_stale_good;
	uint64_t ask_at, fresh_until, usable_until;
	const char *error; /* NULL when there are addresses */
	size_t count;
	struct in6_addr addresses[RESOLVER_MAX];
	uint64_t hash;
	char text[];
};

struct watched_socket {
	struct link link;
	struct resolver *resolver;
	ev_io io;
};

struct resolver {
	struct ev_loop *loop;
	struct resolver_source source;
	ares_channel channel;
	bool is_ending, is_starting; /* inside ares_destroy for good; inside ares_getaddrinfo */
	struct timespec source_time;
	ino_t source_inode;
	size_t asking;
	ev_timer timeout;    /* what c-ares waits for next */
	ev_prepare delivery; /* never started: fed when `ready` has lookups to call back */
	struct link sockets, ready;
	struct link recent; /* all names, the one used last in front */
	size_t names;
	struct hash_key key;
	struct name *buckets[BUCKETS];
};

static void ring_init(struct link *head)
{
	head->prev = head->next = head;
}

static bool ring_is_empty(const struct link *head)
{
	return head->next == head;
}

static void ring_insert(struct link *after, struct link *link)
{
	link->prev = after;
	link->next = after->next;
	after->next->prev = link;
	after->next = link;
}

static void ring_remove(struct link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
}

/* The sockets and the clock of c-ares. */

static void arm_timeout(struct resolver *resolver)
{
	struct timeval room;
	struct timeval *next = ares_timeout(resolver->channel, NULL, &room);
	ev_timer_stop(resolver->loop, &resolver->timeout);
	if (!next)
		return;
	double seconds = (double)next->tv_sec + (double)next->tv_usec / 1e6;
	ev_timer_set(&resolver->timeout, seconds, 0.0);
	ev_timer_start(resolver->loop, &resolver->timeout);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct resolver *resolver = timer->data;
	(void)loop, (void)events;
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timeout(resolver);
}

/* The socket may be closed, and `io` freed, by what it brings. */
static void on_socket_ready(struct ev_loop *loop, ev_io *io, int events)
{
	struct resolver *resolver = ((struct watched_socket *)io->data)->resolver;
	int fd = io->fd;
	(void)loop;
	ares_process_fd(resolver->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
		events & EV_WRITE ? fd : ARES_SOCKET_BAD);
	arm_timeout(resolver);
}

static struct watched_socket *socket_find(struct resolver *resolver, int fd)
{
	for (struct link *l = resolver->sockets.next; l != &resolver->sockets; l = l->next) {
		struct watched_socket *socket = (struct watched_socket *)l;
		if (socket->io.fd == fd)
			return socket;
	}
	return NULL;
}

static struct watched_socket *socket_add(struct resolver *resolver, int fd)
{
	struct watched_socket *socket = calloc(1, sizeof *socket);
	if (!socket)
		return NULL; /* nobody reads it: the question times out */
	socket->resolver = resolver;
	ev_io_init(&socket->io, on_socket_ready, fd, EV_NONE);
	socket->io.data = socket;
	ring_insert(&resolver->sockets, &socket->link);
	return socket;
}

static void on_socket_state(void *owner, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = owner;
	struct watched_socket *socket = socket_find(resolver, fd);
	if (!socket && (readable || writable))
		socket = socket_add(resolver, fd);
	if (!socket)
		return;
	ev_io_stop(resolver->loop, &socket->io);
	if (!readable && !writable) {
		ring_remove(&socket->link);
		free(socket);
		return;
	}
	ev_io_set(&socket->io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	ev_io_start(resolver->loop, &socket->io);
}

static int channel_open(struct resolver *resolver, ares_channel *channel)
{
	char path[] = RESOLV_CONF, lookups[] = "fb"; /* /etc/hosts first, then DNS */
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES,
		.timeout = TRY_MS,
		.tries = TRIES,
		.udp_port = resolver->source.port,
		.tcp_port = resolver->source.port,
		.lookups = lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = resolver,
		.resolvconf_path = path,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
		ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;
	if (resolver->source.port)
		mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
	if (resolver->source.resolv_conf)
		options.resolvconf_path = (char *)(uintptr_t)resolver->source.resolv_conf;
	return ares_init_options(channel, &options, mask);
}

/* True once after each change; a missing file is like an old one. */
static bool source_changed(struct resolver *resolver)
{
	const char *path = resolver->source.resolv_conf;
	struct stat now;
	if (stat(path ? path : RESOLV_CONF, &now) != 0)
		return false;
	bool is_same = now.st_ino == resolver->source_inode &&
		now.st_mtim.tv_sec == resolver->source_time.tv_sec &&
		now.st_mtim.tv_nsec == resolver->source_time.tv_nsec;
	resolver->source_inode = now.st_ino;
	resolver->source_time = now.st_mtim;
	return !is_same;
}

/* c-ares 1.18 reads resolv.conf only once; only a channel without questions can be exchanged. */
static void follow_source(struct resolver *resolver)
{
	ares_channel fresh;
	if (resolver->asking > 0 || !source_changed(resolver))
		return;
	if (channel_open(resolver, &fresh) != ARES_SUCCESS)
		return;
	ares_destroy(resolver->channel);
	resolver->channel = fresh;
}

/* Names. */

static struct name **name_place(struct resolver *resolver, const char *text, uint64_t hash)
{
	struct name **place = &resolver->buckets[hash % BUCKETS];
	while (*place && ((*place)->hash != hash || strcmp((*place)->text, text) != 0))
		place = &(*place)->next_in_bucket;
	return place;
}

static void name_free(struct name *name)
{
	struct resolver *resolver = name->resolver;
	*name_place(resolver, name->text, name->hash) = name->next_in_bucket;
	ring_remove(&name->link);
	ev_timer_stop(resolver->loop, &name->patience);
	resolver->names--;
	free(name);
}

/* Names that somebody waits for stay, so that the cache may for a time hold more than its limit. */
static void forget_unused(struct resolver *resolver)
{
	struct link *link = resolver->recent.prev;
	while (resolver->names >= RESOLVER_NAMES && link != &resolver->recent) {
		struct name *name = (struct name *)link;
		link = link->prev;
		if (name->holds == 0)
			name_free(name);
	}
}

static void on_impatient(struct ev_loop *loop, ev_timer *timer, int events);

static struct name *name_add(struct resolver *resolver, const char *text, uint64_t hash)
{
	size_t size = strlen(text) + 1;
	forget_unused(resolver);
	struct name *name = calloc(1, sizeof *name + size);
	if (!name)
		return NULL;
	memcpy(name->text, text, size);
	name->hash = hash;
	name->resolver = resolver;
	ring_init(&name->waiting);
	ev_timer_init(&name->patience, on_impatient, PATIENCE_SECONDS, 0.0);
	name->patience.data = name;
	struct name **place = name_place(resolver, text, hash);
	name->next_in_bucket = *place;
	*place = name;
	ring_insert(&resolver->recent, &name->link);
	resolver->names++;
	return name;
}

/* Found or made, and marked as used just now. */
static struct name *name_use(struct resolver *resolver, const char *text)
{
	uint64_t hash = hash_bytes(resolver->key, text, strlen(text));
	struct name *name = *name_place(resolver, text, hash);
	if (!name)
		return name_add(resolver, text, hash);
	ring_remove(&name->link);
	ring_insert(&resolver->recent, &name->link);
	return name;
}

static bool has_answer(const struct name *name, uint64_t now)
{
	return now < name->fresh_until || (name->is_stale_good && now < name->usable_until);
}

/* Calling back. */

static struct address address_of(const struct in6_addr *ip, uint16_t port)
{
	struct address address = {0};
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		address.len = sizeof address.v4;
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		memcpy(&address.v4.sin_addr, ip->s6_addr + 12, 4);
	} else {
		address.len = sizeof address.v6;
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		address.v6.sin6_addr = *ip;
	}
	return address;
}

/* From a copy: `name` may be forgotten while the callback runs. */
static void tell(const struct name *name, uint16_t port, resolved_fn *on_resolved, void *owner)
{
	struct address addresses[RESOLVER_MAX];
	size_t count = name->count;
	for (size_t i = 0; i < count; i++)
		addresses[i] = address_of(&name->addresses[i], port);
	on_resolved(owner, addresses, count, count ? NULL : name->error);
}

/* Outside c-ares, so that a callback may ask it again. */
static void on_delivery(struct ev_loop *loop, ev_prepare *delivery, int events)
{
	struct resolver *resolver = delivery->data;
	(void)loop, (void)events;
	while (!ring_is_empty(&resolver->ready)) {
		struct link *first = resolver->ready.next;
		struct lookup lookup = *(struct lookup *)first;
		ring_remove(first);
		free(first);
		lookup.name->holds--;
		tell(lookup.name, lookup.port, lookup.on_resolved, lookup.owner);
	}
}

static void wake(struct name *name)
{
	struct resolver *resolver = name->resolver;
	ev_timer_stop(resolver->loop, &name->patience);
	if (ring_is_empty(&name->waiting))
		return;
	while (!ring_is_empty(&name->waiting)) {
		struct link *first = name->waiting.next;
		ring_remove(first);
		ring_insert(resolver->ready.prev, first);
	}
	ev_feed_event(resolver->loop, &resolver->delivery, EV_CUSTOM);
}

/* From now until there is news the stale answer serves at once. */
static void on_impatient(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct name *name = timer->data;
	(void)loop, (void)events;
	name->is_stale_good = true;
	wake(name);
}

/* What c-ares brings. */

static struct in6_addr ip_of(const struct ares_addrinfo_node *node)
{
	struct in6_addr ip = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (node->ai_family == AF_INET)
		memcpy(ip.s6_addr + 12, &((struct sockaddr_in *)(void *)node->ai_addr)->sin_addr,
			4);
	else
		ip = ((struct sockaddr_in6 *)(void *)node->ai_addr)->sin6_addr;
	return ip;
}

static bool is_among(const struct in6_addr *all, size_t count, const struct in6_addr *ip)
{
	for (size_t i = 0; i < count; i++)
		if (IN6_ARE_ADDR_EQUAL(&all[i], ip))
			return true;
	return false;
}

/* The first node from here on that is, or is not, of this family. */
static const struct ares_addrinfo_node *skip_to(
	const struct ares_addrinfo_node *node, int family, bool is_wanted)
{
	while (node && (node->ai_family == family) != is_wanted)
		node = node->ai_next;
	return node;
}

/* c-ares has sorted; here the two families take turns, the better one first. */
static size_t take_turns(const struct ares_addrinfo_node *nodes, struct in6_addr *out)
{
	int best = nodes ? nodes->ai_family : AF_UNSPEC;
	const struct ares_addrinfo_node *next[2] = {nodes, skip_to(nodes, best, false)};
	size_t count = 0;
	for (int turn = 0; count < RESOLVER_MAX && (next[0] || next[1]); turn = !turn) {
		if (!next[turn])
			continue;
		struct in6_addr ip = ip_of(next[turn]);
		if (!is_among(out, count, &ip))
			out[count++] = ip;
		next[turn] = skip_to(next[turn]->ai_next, best, turn == 0);
	}
	return count;
}

/* The shortest of all records, those of the aliases too; above 2^31 is 0 (RFC 2181 section 8). */
static uint64_t life_of(const struct ares_addrinfo *found)
{
	int ttl = (int)(LIFE_MAX / SECOND);
	for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
		ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
	for (const struct ares_addrinfo_cname *name = found->cnames; name; name = name->next)
		ttl = name->ttl < ttl ? name->ttl : ttl;
	return ttl > 0 ? (uint64_t)ttl * SECOND : LIFE_MIN;
}

static void keep_addresses(struct name *name, const struct ares_addrinfo *found, uint64_t now)
{
	/* Only /etc/hosts answers while the question is being put. */
	uint64_t life = name->resolver->is_starting ? LIFE_OF_HOSTS : life_of(found);
	name->error = NULL;
	name->is_stale_good = false;
	name->fresh_until = now + life;
	name->ask_at = now + life - life / 10;
	name->usable_until = name->fresh_until + LIFE_OF_STALE;
}

static const char *words_for(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return "no such name";
	case ARES_ENODATA:
		return "the name has no address";
	case ARES_ETIMEOUT:
		return "the name server does not answer";
	case ARES_ECONNREFUSED: /* what is left when each of them refused or failed */
		return "no name server gave an answer";
	case ARES_EBADNAME:
		return "not a host name";
	default:
		return ares_strerror(status);
	}
}

static bool has_stale_answer(const struct name *name, uint64_t now)
{
	return name->count > 0 && now < name->usable_until;
}

/* ENODATA does not replace an answer: c-ares says it too when one of its two questions failed. */
static void keep_failure(struct name *name, int status, uint64_t now)
{
	name->ask_at = now + LIFE_OF_ERROR;
	name->is_stale_good = status != ARES_ENOTFOUND && has_stale_answer(name, now);
	if (name->is_stale_good)
		return;
	name->fresh_until = name->ask_at;
	name->count = 0;
	name->error = words_for(status);
}

static void on_answer(void *owner, int status, int timeouts, struct ares_addrinfo *found)
{
	struct name *name = owner;
	struct resolver *resolver = name->resolver;
	struct in6_addr addresses[RESOLVER_MAX];
	size_t count = found ? take_turns(found->nodes, addresses) : 0;
	uint64_t now = clock_now_us();
	(void)timeouts;
	resolver->asking--;
	name->is_asking = false;
	name->holds--;
	if (resolver->is_ending)
		goto done;
	if (status == ARES_SUCCESS && count > 0) {
		memcpy(name->addresses, addresses, count * sizeof *addresses);
		name->count = count;
		keep_addresses(name, found, now);
	} else {
		keep_failure(name, status == ARES_SUCCESS ? ARES_ENODATA : status, now);
	}
	wake(name);
done:
	ares_freeaddrinfo(found);
}

/* Asking. */

static void ask(struct name *name)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct resolver *resolver = name->resolver;
	follow_source(resolver);
	name->is_asking = true;
	name->holds++;
	resolver->asking++;
	resolver->is_starting = true;
	ares_getaddrinfo(resolver->channel, name->text, NULL, &hints, on_answer, name);
	resolver->is_starting = false;
	arm_timeout(resolver);
}

static bool parse_literal(const char *host, struct in6_addr *out)
{
	struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	if (inet_pton(AF_INET6, host, out) == 1)
		return true;
	*out = mapped;
	return inet_pton(AF_INET, host, out->s6_addr + 12) == 1;
}

/* Lower case, so that equal questions are one; a trailing dot makes it another question. */
static bool fold_name(const char *host, char out[NAME_MAX_LEN + 1])
{
	size_t len = strlen(host);
	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i <= len; i++)
		out[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]);
	return true;
}

static struct lookup *lookup_add(
	struct name *name, uint16_t port, resolved_fn *on_resolved, void *owner)
{
	struct lookup *lookup = malloc(sizeof *lookup);
	if (!lookup)
		return NULL;
	lookup->name = name;
	lookup->port = port;
	lookup->on_resolved = on_resolved;
	lookup->owner = owner;
	ring_insert(name->waiting.prev, &lookup->link);
	name->holds++;
	struct ev_loop *loop = name->resolver->loop;
	if (has_stale_answer(name, clock_now_us()) && !ev_is_active(&name->patience))
		ev_timer_start(loop, &name->patience);
	return lookup;
}

static struct lookup *refuse(resolved_fn *on_resolved, void *owner, const char *why)
{
	on_resolved(owner, NULL, 0, why);
	return NULL;
}

struct lookup *resolver_lookup(struct resolver *resolver, const char *host, uint16_t port,
	resolved_fn *on_resolved, void *owner)
{
	struct in6_addr literal;
	if (parse_literal(host, &literal)) {
		struct address address = address_of(&literal, port);
		on_resolved(owner, &address, 1, NULL);
		return NULL;
	}
	char text[NAME_MAX_LEN + 1];
	if (!fold_name(host, text))
		return refuse(on_resolved, owner, words_for(ARES_EBADNAME));
	struct name *name = name_use(resolver, text);
	if (!name)
		return refuse(on_resolved, owner, words_for(ARES_ENOMEM));
	if (!name->is_asking && clock_now_us() >= name->ask_at)
		ask(name);
	if (has_answer(name, clock_now_us())) {
		tell(name, port, on_resolved, owner);
		return NULL;
	}
	struct lookup *lookup = lookup_add(name, port, on_resolved, owner);
	return lookup ? lookup : refuse(on_resolved, owner, words_for(ARES_ENOMEM));
}

void lookup_cancel(struct lookup *lookup)
{
	if (!lookup)
		return;
	ring_remove(&lookup->link);
	lookup->name->holds--;
	free(lookup);
}

size_t resolver_names(const struct resolver *resolver)
{
	return resolver->names;
}

/* Life and end. */

struct resolver *resolver_create(
	struct ev_loop *loop, const struct resolver_source *source, struct err *err)
{
	struct resolver *resolver = calloc(1, sizeof *resolver);
	if (!resolver) {
		err_set(err, "cannot start the resolver: out of memory");
		return NULL;
	}
	resolver->loop = loop;
	if (source)
		resolver->source = *source;
	resolver->key = hash_key_random();
	ring_init(&resolver->sockets);
	ring_init(&resolver->ready);
	ring_init(&resolver->recent);
	ev_timer_init(&resolver->timeout, on_timeout, 0.0, 0.0);
	resolver->timeout.data = resolver;
	ev_prepare_init(&resolver->delivery, on_delivery);
	resolver->delivery.data = resolver;
	source_changed(resolver);
	int status = channel_open(resolver, &resolver->channel);
	if (status != ARES_SUCCESS) {
		err_set(err, "cannot start the resolver: %s", ares_strerror(status));
		free(resolver);
		return NULL;
	}
	return resolver;
}

static void drop_lookups(struct link *ring)
{
	while (!ring_is_empty(ring))
		lookup_cancel((struct lookup *)ring->next);
}

void resolver_destroy(struct resolver *resolver)
{
	if (!resolver)
		return;
	resolver->is_ending = true;
	ares_destroy(resolver->channel); /* closes the sockets, which ends their watchers */
	ev_timer_stop(resolver->loop, &resolver->timeout);
	ev_clear_pending(resolver->loop, &resolver->delivery);
	drop_lookups(&resolver->ready);
	while (!ring_is_empty(&resolver->recent)) {
		struct name *name = (struct name *)resolver->recent.next;
		drop_lookups(&name->waiting);
		name_free(name);
	}
	free(resolver);
}
