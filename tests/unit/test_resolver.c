/* The resolver against a name server of our own: UDP and TCP on loopback, in the same loop. */
#include "dial/name_cache.h"
#include "dial/resolver.h"
#include "failing_epoll.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { A = 1, CNAME = 5, AAAA = 28 };
enum rcode { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, SILENT = 100 };

struct record {
	const char *name;
	int type;
	unsigned ttl;
	const char *value; /* an address, or the target of a CNAME */
};

/* What the server knows; a test changes it as it goes. */
struct zone {
	struct record records[40];
	size_t count;
	enum rcode rcode; /* of every name without records; SILENT and SERVFAIL: of all names */
	bool is_truncating;
};

struct server {
	struct ev_loop *loop;
	ev_io udp, tcp, connection;
	struct zone zone;
	unsigned queries, tcp_queries;
};

struct bench {
	struct ev_loop *loop;
	struct server first, second; /* 127.0.0.1 and 127.0.0.2, on the same port */
	uint16_t port;
	char resolv_conf[64];
	struct resolver *resolver;
};

struct asked {
	bool is_told;
	size_t count;
	struct address addresses[RESOLVER_MAX];
	char error[64];
	struct lookup *cancel; /* what the callback cancels */
	struct bench *bench;
	struct asked *then; /* what the callback asks next: "one.test" */
};

static void put16(uint8_t **at, unsigned value)
{
	*(*at)++ = (uint8_t)(value >> 8);
	*(*at)++ = (uint8_t)value;
}

static void put_name(uint8_t **at, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");
		*(*at)++ = (uint8_t)len;
		memcpy(*at, name, len);
		*at += len;
		name += len + (name[len] == '.');
	}
	*(*at)++ = 0;
}

static void put_record(uint8_t **at, const struct record *record)
{
	put_name(at, record->name);
	put16(at, (unsigned)record->type);
	put16(at, 1);
	put16(at, record->ttl >> 16);
	put16(at, record->ttl & 0xffff);
	uint8_t *len = *at, *data = *at + 2;
	*at = data;
	if (record->type == CNAME)
		put_name(at, record->value);
	else if (inet_pton(record->type == A ? AF_INET : AF_INET6, record->value, data) == 1)
		*at += record->type == A ? 4 : 16;
	put16(&len, (unsigned)(*at - data));
}

static size_t read_question(const uint8_t *query, size_t len, char *name, int *type)
{
	size_t at = 12, used = 0;
	while (at < len && query[at] != 0 && at + 1 + query[at] < len && used < 200) {
		used += (size_t)sprintf(name + used, "%s%.*s", used ? "." : "", query[at],
			(const char *)query + at + 1);
		at += 1u + query[at];
	}
	name[used] = '\0';
	assert_true(at + 5 <= len);
	*type = query[at + 1] << 8 | query[at + 2];
	return at + 5;
}

static size_t put_records(const struct zone *zone, const char *name, int type, uint8_t **at)
{
	size_t answers = 0;
	for (size_t i = 0; i < zone->count; i++) {
		const struct record *record = &zone->records[i];
		if (strcasecmp(record->name, name) != 0)
			continue;
		if (record->type != type && record->type != CNAME)
			continue;
		put_record(at, record);
		answers++;
		if (record->type == CNAME)
			answers += put_records(zone, record->value, type, at);
	}
	return answers;
}

static bool knows(const struct zone *zone, const char *name)
{
	for (size_t i = 0; i < zone->count; i++)
		if (strcasecmp(zone->records[i].name, name) == 0)
			return true;
	return false;
}

/* 0: no answer. */
static size_t answer(
	struct server *server, const uint8_t *query, size_t len, uint8_t *out, bool udp)
{
	const struct zone *zone = &server->zone;
	char name[256];
	int type;
	size_t question = read_question(query, len, name, &type);
	bool is_failing = zone->rcode == SERVFAIL, truncate = udp && zone->is_truncating;
	server->queries++;
	if (zone->rcode == SILENT || strncmp(name, "silent", 6) == 0)
		return 0;
	memcpy(out, query, question);
	uint8_t *at = out + question;
	size_t answers = is_failing || truncate ? 0 : put_records(zone, name, type, &at);
	enum rcode rcode = is_failing || !knows(zone, name) ? zone->rcode : NOERROR;
	memcpy(out + 2, (uint8_t[]){(uint8_t)(0x85 | truncate << 1), 0x80 | (uint8_t)rcode}, 2);
	memcpy(out + 4, (uint8_t[]){0, 1, 0, (uint8_t)answers, 0, 0, 0, 0}, 8);
	return (size_t)(at - out);
}

static void on_udp(struct ev_loop *loop, ev_io *io, int events)
{
	uint8_t query[512], out[4096];
	struct sockaddr_in from;
	socklen_t from_len = sizeof from;
	(void)loop, (void)events;
	ssize_t len = recvfrom(io->fd, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
	if (len < 12)
		return;
	size_t size = answer(io->data, query, (size_t)len, out, true);
	if (size)
		sendto(io->fd, out, size, 0, (struct sockaddr *)&from, from_len);
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
	struct server *server = io->data;
	uint8_t query[1024], out[4096];
	(void)events;
	ssize_t len = recv(io->fd, query, sizeof query, 0);
	if (len <= 0) {
		ev_io_stop(loop, io);
		close(io->fd);
		return;
	}
	for (ssize_t at = 0; at + 14 < len; at += 2 + (query[at] << 8 | query[at + 1])) {
		size_t size =
			answer(server, query + at + 2, (size_t)(len - at - 2), out + 2, false);
		out[0] = (uint8_t)(size >> 8);
		out[1] = (uint8_t)size;
		server->tcp_queries++;
		send(io->fd, out, size + 2, 0);
	}
}

static void on_tcp(struct ev_loop *loop, ev_io *io, int events)
{
	struct server *server = io->data;
	(void)events;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_false(ev_is_active(&server->connection));
	ev_io_set(&server->connection, fd, EV_READ);
	ev_io_start(loop, &server->connection);
}

/* -1 when the port is taken; port 0 becomes one that is free. */
static int bound_socket(int type, const char *ip, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
	assert_int_equal(inet_pton(AF_INET, ip, &at.sin_addr), 1);
	setsockopt(
		fd, SOL_SOCKET, SO_REUSEADDR, type == SOCK_STREAM ? &yes : &(int){0}, sizeof yes);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
		(type == SOCK_STREAM && listen(fd, 8) != 0)) {
		close(fd);
		return -1;
	}
	assert_return_code(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* UDP and TCP of both servers on one port, which somebody else may have in part. */
static void bind_all(int fds[4], uint16_t *port)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	static const char *const ips[] = {"127.0.0.1", "127.0.0.2"};
	for (int attempt = 0; attempt < 100; attempt++) {
		int bound = 0;
		*port = 0;
		while (bound < 4 &&
			(fds[bound] = bound_socket(types[bound % 2], ips[bound / 2], port)) >= 0)
			bound++;
		if (bound == 4)
			return;
		while (bound > 0)
			close(fds[--bound]);
	}
	fail_msg("no port is free");
}

static void server_start(struct server *server, struct ev_loop *loop, int tcp, int udp)
{
	server->loop = loop;
	server->zone.rcode = NXDOMAIN;
	ev_io_init(&server->udp, on_udp, udp, EV_READ);
	ev_io_init(&server->tcp, on_tcp, tcp, EV_READ);
	ev_init(&server->connection, on_connection);
	server->udp.data = server->tcp.data = server->connection.data = server;
	ev_io_start(loop, &server->udp);
	ev_io_start(loop, &server->tcp);
}

static void server_stop(struct server *server)
{
	ev_io *all[] = {&server->udp, &server->tcp, &server->connection};
	for (size_t i = 0; i < 3; i++) {
		if (!ev_is_active(all[i]))
			continue;
		ev_io_stop(server->loop, all[i]);
		close(all[i]->fd);
	}
}

/* A new file each time, as those who write resolv.conf do it. */
static void write_resolv_conf(struct bench *bench, const char *ip)
{
	char fresh[80];
	snprintf(fresh, sizeof fresh, "%s.new", bench->resolv_conf);
	FILE *file = fopen(fresh, "w");
	assert_non_null(file);
	fprintf(file, "nameserver %s\n", ip);
	fclose(file);
	assert_return_code(rename(fresh, bench->resolv_conf), 0);
}

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);
	struct err err;
	int fds[4];
	bench->loop = ev_loop_new(EVFLAG_AUTO);
	bind_all(fds, &bench->port);
	server_start(&bench->first, bench->loop, fds[0], fds[1]);
	server_start(&bench->second, bench->loop, fds[2], fds[3]);
	snprintf(bench->resolv_conf, sizeof bench->resolv_conf, "/tmp/test_resolver.%d", getpid());
	write_resolv_conf(bench, "127.0.0.1");
	struct dns_source source = {bench->resolv_conf, bench->port};
	bench->resolver = resolver_create(bench->loop, &source, &err);
	assert_non_null(bench->resolver);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	resolver_destroy(bench->resolver);
	server_stop(&bench->first);
	server_stop(&bench->second);
	ev_loop_destroy(bench->loop);
	unlink(bench->resolv_conf);
	free(bench);
	return 0;
}

static void zone_add(
	struct bench *bench, const char *name, int type, unsigned ttl, const char *value)
{
	struct zone *zone = &bench->first.zone;
	assert_true(zone->count < sizeof zone->records / sizeof zone->records[0]);
	zone->records[zone->count++] = (struct record){name, type, ttl, value};
}

static void on_resolved(
	void *owner, const struct address *addresses, size_t count, const char *error)
{
	struct asked *asked = owner;
	assert_false(asked->is_told);
	assert_int_equal(error == NULL, count > 0);
	assert_true(count <= RESOLVER_MAX);
	asked->is_told = true;
	asked->count = count;
	if (count)
		memcpy(asked->addresses, addresses, count * sizeof *addresses);
	snprintf(asked->error, sizeof asked->error, "%s", error ? error : "");
	lookup_cancel(asked->cancel);
	if (asked->then)
		resolver_lookup(asked->bench->resolver, "one.test", 1, on_resolved, asked->then);
}

static struct lookup *look_up(struct bench *bench, const char *host, struct asked *asked)
{
	return resolver_lookup(bench->resolver, host, 443, on_resolved, asked);
}

static void on_too_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	*(bool *)timer->data = true;
	ev_break(loop, EVBREAK_ONE);
}

/* Until `is_done`, if there is one, for at most so long. */
static void run(struct bench *bench, const bool *is_done, double seconds)
{
	bool is_late = false;
	ev_timer timer;
	ev_now_update(bench->loop);
	ev_timer_init(&timer, on_too_late, seconds, 0.0);
	timer.data = &is_late;
	ev_timer_start(bench->loop, &timer);
	while (!is_late && !(is_done && *is_done))
		ev_run(bench->loop, EVRUN_ONCE);
	ev_timer_stop(bench->loop, &timer);
}

static struct asked resolve(struct bench *bench, const char *host)
{
	struct asked asked = {0};
	if (look_up(bench, host, &asked))
		run(bench, &asked.is_told, 10.0);
	assert_true(asked.is_told);
	return asked;
}

static void assert_address(const struct asked *asked, size_t i, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];
	assert_true(i < asked->count);
	address_text(&asked->addresses[i].any, asked->addresses[i].len, text);
	assert_string_equal(text, expected);
}

static void test_both_families_take_turns(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "dual.test", A, 60, "192.0.2.1");
	zone_add(bench, "dual.test", A, 60, "192.0.2.2");
	zone_add(bench, "dual.test", A, 60, "192.0.2.3");
	zone_add(bench, "dual.test", A, 60, "192.0.2.3");
	zone_add(bench, "dual.test", AAAA, 60, "2001:db8::1");
	zone_add(bench, "dual.test", AAAA, 60, "2001:db8::2");
	struct asked asked = resolve(bench, "Dual.TEST");
	assert_int_equal(asked.count, 5);
	for (size_t i = 0; i + 1 < 4; i++)
		assert_int_not_equal(
			asked.addresses[i].any.sa_family, asked.addresses[i + 1].any.sa_family);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(ntohs(asked.addresses[i].any.sa_family == AF_INET
						 ? asked.addresses[i].v4.sin_port
						 : asked.addresses[i].v6.sin6_port),
			443);
	assert_int_equal(asked.addresses[4].any.sa_family, AF_INET);
}

static void test_one_family_is_enough(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "four.test", A, 60, "192.0.2.1");
	zone_add(bench, "six.test", AAAA, 60, "2001:db8::1");
	struct asked four = resolve(bench, "four.test"), six = resolve(bench, "six.test.");
	assert_int_equal(four.count, 1);
	assert_address(&four, 0, "192.0.2.1:443");
	assert_int_equal(six.count, 1);
	assert_address(&six, 0, "[2001:db8::1]:443");
}

static void test_many_addresses_are_cut(void **state)
{
	struct bench *bench = *state;
	char text[20][16];
	for (int i = 0; i < 20; i++) {
		sprintf(text[i], "192.0.2.%d", i + 1);
		zone_add(bench, "many.test", A, 60, text[i]);
	}
	zone_add(bench, "many.test", AAAA, 60, "2001:db8::1");
	bench->first.zone.is_truncating = true;
	struct asked asked = resolve(bench, "many.test");
	unsigned six = 0;
	assert_int_equal(asked.count, RESOLVER_MAX);
	for (size_t i = 0; i < asked.count; i++)
		six += asked.addresses[i].any.sa_family == AF_INET6;
	assert_int_equal(six, 1);
	assert_int_equal(bench->first.tcp_queries, 2);
}

static void test_answer_is_kept_and_asked_again(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "short.test", A, 1, "192.0.2.1");
	zone_add(bench, "long.test", A, 60, "192.0.2.9");
	resolve(bench, "short.test");
	resolve(bench, "long.test");
	assert_int_equal(bench->first.queries, 4);
	struct asked again = {0};
	assert_null(look_up(bench, "LONG.test", &again));
	assert_address(&again, 0, "192.0.2.9:443");
	assert_int_equal(bench->first.queries, 4);

	bench->first.zone.records[0].value = "192.0.2.2";
	run(bench, NULL, 1.05);
	struct asked changed = resolve(bench, "short.test");
	assert_int_equal(changed.count, 1);
	assert_address(&changed, 0, "192.0.2.2:443");
	assert_int_equal(bench->first.queries, 6);
	struct asked kept = {0};
	assert_null(look_up(bench, "long.test", &kept));
	assert_int_equal(bench->first.queries, 6);
}

/* False: the test was held up for longer than that tenth, and the answer has expired. */
static bool use_until_asked_ahead(struct bench *bench)
{
	bench->first.zone.records[0].value = "192.0.2.1";
	struct asked asked = resolve(bench, "ahead.test");
	unsigned queries = bench->first.queries;
	bench->first.zone.records[0].value = "192.0.2.2";
	for (int i = 0; i < 500 && bench->first.queries == queries; i++) {
		asked = (struct asked){0};
		if (look_up(bench, "ahead.test", &asked)) {
			run(bench, &asked.is_told, 10.0);
			return false;
		}
		assert_address(&asked, 0, "192.0.2.1:443");
		run(bench, NULL, 0.02);
	}
	run(bench, NULL, 0.1);
	return true;
}

/* In the last tenth of its life a use brings the next answer, and nobody waits. */
static void test_name_in_use_is_asked_ahead(void **state)
{
	struct bench *bench = *state;
	struct asked fresh = {0};
	bool is_ahead = false;
	zone_add(bench, "ahead.test", A, 3, "192.0.2.1");
	for (int tries = 0; tries < 3 && !is_ahead; tries++)
		is_ahead = use_until_asked_ahead(bench);
	assert_true(is_ahead);
	assert_null(look_up(bench, "ahead.test", &fresh));
	assert_address(&fresh, 0, "192.0.2.2:443");
}

static void test_alias_limits_the_life(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "alias.test", CNAME, 1, "target.test");
	zone_add(bench, "target.test", A, 600, "192.0.2.1");
	struct asked first = resolve(bench, "alias.test");
	assert_address(&first, 0, "192.0.2.1:443");
	bench->first.zone.records[1].value = "192.0.2.2";
	run(bench, NULL, 1.05);
	struct asked second = resolve(bench, "alias.test");
	assert_address(&second, 0, "192.0.2.2:443");
}

static void test_equal_questions_are_one(void **state)
{
	struct bench *bench = *state;
	struct asked asked[3] = {0};
	zone_add(bench, "one.test", A, 60, "192.0.2.1");
	for (int i = 0; i < 3; i++)
		assert_non_null(look_up(bench, "one.test", &asked[i]));
	run(bench, &asked[2].is_told, 5.0);
	for (int i = 0; i < 3; i++)
		assert_address(&asked[i], 0, "192.0.2.1:443");
	assert_int_equal(bench->first.queries, 2);
}

static void test_failures_are_told_and_kept(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "empty.test", 16, 60, "");
	struct asked missing = resolve(bench, "missing.test"), empty = resolve(bench, "empty.test");
	assert_string_equal(missing.error, "no such name");
	assert_string_equal(empty.error, "the name has no address");
	struct asked again = {0};
	assert_null(look_up(bench, "missing.test", &again));
	assert_string_equal(again.error, "no such name");
	assert_int_equal(bench->first.queries, 4);
	bench->first.zone.rcode = SERVFAIL;
	struct asked failing = resolve(bench, "failing.test");
	assert_string_equal(failing.error, "no name server gave an answer");
}

static void test_bad_names(void **state)
{
	struct bench *bench = *state;
	char name[400];
	memset(name, 'a', sizeof name);
	name[300] = '\0';
	assert_string_equal(resolve(bench, name).error, "not a host name");
	strcpy(name + 64, ".test");
	assert_string_equal(resolve(bench, name).error, "not a host name");
	assert_string_equal(resolve(bench, "").error, "not a host name");
	assert_string_equal(resolve(bench, "a..test").error, "not a host name");
	assert_int_equal(bench->first.queries, 0);
}

static bool is_loopback(const struct asked *asked)
{
	for (size_t i = 0; i < asked->count; i++)
		if (asked->addresses[i].any.sa_family == AF_INET &&
			ntohl(asked->addresses[i].v4.sin_addr.s_addr) == INADDR_LOOPBACK)
			return true;
	return false;
}

static void test_literals_and_hosts_need_no_server(void **state)
{
	struct bench *bench = *state;
	struct asked four = {0}, six = {0}, local = {0};
	assert_null(look_up(bench, "192.0.2.7", &four));
	assert_address(&four, 0, "192.0.2.7:443");
	assert_null(look_up(bench, "2001:db8::7", &six));
	assert_address(&six, 0, "[2001:db8::7]:443");
	assert_int_equal(resolver_names(bench->resolver), 0);
	assert_null(look_up(bench, "LocalHost", &local));
	assert_true(is_loopback(&local));
	assert_int_equal(bench->first.queries, 0);
}

/* The final dot is not in /etc/hosts; servers are asked only what is not there either. */
static void test_final_dot(void **state)
{
	struct bench *bench = *state;
	struct asked local = {0}, other = {0}, unknown = {0};
	zone_add(bench, "one.test", A, 60, "192.0.2.1");
	assert_null(look_up(bench, "LocalHost.", &local));
	assert_true(is_loopback(&local));
	assert_int_equal(bench->first.queries, 0);
	look_up(bench, "one.test.", &other);
	run(bench, &other.is_told, 5.0);
	assert_address(&other, 0, "192.0.2.1:443");
	look_up(bench, "none.test.", &unknown);
	run(bench, &unknown.is_told, 5.0);
	assert_string_equal(unknown.error, "no such name");
}

static void test_cancelled_is_never_told(void **state)
{
	struct bench *bench = *state;
	struct asked asked = {0}, other = {0}, later = {0};
	zone_add(bench, "one.test", A, 60, "192.0.2.1");
	struct lookup *lookup = look_up(bench, "one.test", &asked);
	assert_non_null(look_up(bench, "one.test", &other));
	lookup_cancel(lookup);
	lookup_cancel(NULL);
	run(bench, &other.is_told, 5.0);
	assert_false(asked.is_told);
	assert_null(look_up(bench, "one.test", &later));
}

static void test_callback_cancels_and_asks(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "one.test", A, 60, "192.0.2.1");
	struct asked next = {0}, third = {0};
	struct asked first = {.bench = bench, .then = &next};
	assert_non_null(look_up(bench, "two.test", &first));
	/* Told in the same turn, just before it. */
	struct asked second = {0};
	first.cancel = look_up(bench, "two.test", &second);
	assert_non_null(look_up(bench, "two.test", &third));
	run(bench, &next.is_told, 5.0);
	assert_true(first.is_told && third.is_told);
	assert_false(second.is_told);
	assert_address(&next, 0, "192.0.2.1:1");
}

static void test_stale_answer_serves_while_servers_fail(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "kept.test", A, 1, "192.0.2.1");
	zone_add(bench, "gone.test", A, 1, "192.0.2.1");
	resolve(bench, "kept.test");
	resolve(bench, "gone.test");
	run(bench, NULL, 1.05);
	bench->first.zone.rcode = SERVFAIL;
	struct asked kept = resolve(bench, "kept.test"), at_once = {0};
	assert_address(&kept, 0, "192.0.2.1:443");
	unsigned queries = bench->first.queries;
	assert_null(look_up(bench, "kept.test", &at_once));
	assert_int_equal(bench->first.queries, queries);
	bench->first.zone.rcode = NXDOMAIN;
	bench->first.zone.count = 0;
	assert_string_equal(resolve(bench, "gone.test").error, "no such name");
}

/* Twice: the answer comes all the same, and before c-ares asks again. */
static void test_a_socket_that_is_not_watched(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "one.test", A, 60, "192.0.2.1");
	run(bench, NULL, 0.01); /* the servers are watched */
	atomic_store(&epoll_failures, 2);
	struct asked asked = resolve(bench, "one.test");
	assert_int_equal(atomic_exchange(&epoll_failures, 0), 0);
	assert_int_equal(asked.count, 1);
	assert_int_equal(bench->first.queries, 2);
}

static void test_silent_server(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "slow.test", A, 1, "192.0.2.1");
	resolve(bench, "slow.test");
	run(bench, NULL, 1.05);
	bench->first.zone.rcode = SILENT;
	struct asked silent = {0}, slow = {0}, at_once = {0};
	assert_non_null(look_up(bench, "silent.test", &silent));
	assert_non_null(look_up(bench, "slow.test", &slow));
	run(bench, NULL, 1.0);
	assert_false(slow.is_told);
	run(bench, &slow.is_told, 1.5);
	assert_address(&slow, 0, "192.0.2.1:443");
	assert_null(look_up(bench, "slow.test", &at_once));
	assert_false(silent.is_told);
	run(bench, &silent.is_told, 10.0);
	assert_string_equal(silent.error, "the name server does not answer");
}

/* Teardown destroys the resolver with all of this under way. */
static void test_destroyed_with_pending(void **state)
{
	struct bench *bench = *state;
	static struct asked asked[4];
	zone_add(bench, "short.test", A, 1, "192.0.2.1");
	resolve(bench, "short.test");
	run(bench, NULL, 1.05);
	look_up(bench, "silent.test", &asked[0]);
	look_up(bench, "silent.test", &asked[1]);
	look_up(bench, "short.test", &asked[2]);
	run(bench, NULL, 0.05);
	write_resolv_conf(bench, "127.0.0.2");
	look_up(bench, "one.test", &asked[3]);
	lookup_cancel(look_up(bench, "silent2.test", &asked[3]));
}

static void test_changed_resolv_conf_is_read(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "one.test", A, 1, "192.0.2.1");
	struct asked before = resolve(bench, "one.test");
	assert_address(&before, 0, "192.0.2.1:443");
	bench->second.zone.records[bench->second.zone.count++] =
		(struct record){"one.test", A, 1, "192.0.2.2"};
	write_resolv_conf(bench, "127.0.0.2");
	run(bench, NULL, 1.05);
	struct asked after = resolve(bench, "one.test");
	assert_address(&after, 0, "192.0.2.2:443");
	assert_int_equal(bench->first.queries, 2);
}

/* A question that the old server never answers does not keep the new one from being used. */
static void test_changed_resolv_conf_is_read_under_demand(void **state)
{
	struct bench *bench = *state;
	struct asked silent = {0}, more = {0}, after = {0};
	zone_add(bench, "one.test", A, 1, "192.0.2.1");
	assert_non_null(look_up(bench, "silent.test", &silent));
	bench->second.zone.records[bench->second.zone.count++] =
		(struct record){"one.test", A, 1, "192.0.2.2"};
	write_resolv_conf(bench, "127.0.0.2");
	run(bench, NULL, 0.1);
	assert_non_null(look_up(bench, "silent2.test", &more));
	assert_non_null(look_up(bench, "one.test", &after));
	run(bench, &after.is_told, 1.0);
	assert_address(&after, 0, "192.0.2.2:443");
	assert_false(silent.is_told);
	run(bench, &silent.is_told, 10.0);
	assert_string_equal(silent.error, "the name server does not answer");
	run(bench, &more.is_told, 10.0);
	assert_string_equal(more.error, "the name server does not answer");
	assert_int_equal(bench->second.queries, 2 + 4);
}

/* Names that fail at once fill the cache; the one in use stays, the oldest goes. */
static void test_unused_names_leave(void **state)
{
	struct bench *bench = *state;
	zone_add(bench, "old.test", A, 600, "192.0.2.1");
	zone_add(bench, "used.test", A, 600, "192.0.2.1");
	resolve(bench, "old.test");
	resolve(bench, "used.test");
	struct asked never = {0};
	zone_add(bench, "dropped.test", A, 600, "192.0.2.1");
	for (int i = 0; i < 500 && !never.is_told; i++) {
		lookup_cancel(look_up(bench, "dropped.test", &never));
		run(bench, NULL, 0.01);
	}
	assert_true(never.is_told);
	for (unsigned i = 0; i < NAME_CACHE_MAX + 10; i++) {
		char name[100];
		snprintf(name, sizeof name, "%065u.test", i);
		struct asked asked = {0}, used = {0};
		assert_null(look_up(bench, name, &asked));
		if (i % 1000 == 0)
			assert_null(look_up(bench, "used.test", &used));
	}
	assert_int_equal(resolver_names(bench->resolver), NAME_CACHE_MAX);
	struct asked used = {0}, old = {0};
	assert_null(look_up(bench, "used.test", &used));
	const char *forgotten[] = {"old.test", "dropped.test"};
	for (size_t i = 0; i < 2; i++) {
		struct lookup *lookup = look_up(bench, forgotten[i], &old);
		assert_non_null(lookup);
		lookup_cancel(lookup);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_families_take_turns),
		TEST(test_one_family_is_enough),
		TEST(test_many_addresses_are_cut),
		TEST(test_answer_is_kept_and_asked_again),
		TEST(test_name_in_use_is_asked_ahead),
		TEST(test_alias_limits_the_life),
		TEST(test_equal_questions_are_one),
		TEST(test_failures_are_told_and_kept),
		TEST(test_bad_names),
		TEST(test_literals_and_hosts_need_no_server),
		TEST(test_final_dot),
		TEST(test_cancelled_is_never_told),
		TEST(test_callback_cancels_and_asks),
		TEST(test_stale_answer_serves_while_servers_fail),
		TEST(test_a_socket_that_is_not_watched),
		TEST(test_silent_server),
		TEST(test_destroyed_with_pending),
		TEST(test_changed_resolv_conf_is_read),
		TEST(test_changed_resolv_conf_is_read_under_demand),
		TEST(test_unused_names_leave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
