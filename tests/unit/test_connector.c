/* The connector against local sockets: each phase, its failures, its time limits, and cancelling in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "failing_epoll.h"
#include "made_certificate.h"
#include "upstream/connector.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE_US 20000000ull /* what takes longer has failed */
#define TURN        0.002       /* the loop sleeps no longer */
#define SLACK_US    2000
#define FILLERS     4

#define TEXT(literal) (literal), (sizeof(literal) - 1)

static const char ldap_request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
				   "1.3.6.1.4.1.1466.20037";
static const char ldap_success[] = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";

struct bench {
	struct ev_loop *loop;
	struct loop_ctx ctx;
	struct resolver *resolver;
	ev_timer tick;
	struct plain_stream plain;
	struct connector connector;
	struct endpoint endpoint;
	struct connector_setup setup;
	unsigned done; /* calls of on_done */
	int listener, server, fillers[FILLERS];
	uint64_t started_us;
};

static void on_done(void *owner)
{
	struct bench *bench = owner;
	bench->done++;
	assert_int_not_equal(bench->connector.state, CONNECT_WAIT);
}

static void on_tick(struct ev_loop *loop, ev_timer *tick, int events)
{
	(void)loop, (void)tick, (void)events;
}

static struct bench *bench_of(void **state)
{
	return *state;
}

static int set_up(void **state)
{
	struct err err;
	struct bench *bench = calloc(1, sizeof *bench);
	bench->loop = loop_ctx_loop_create(&err);
	assert_true(loop_ctx_init(&bench->ctx, bench->loop, &err));
	bench->resolver = resolver_create(bench->loop, NULL, &err);
	assert_non_null(bench->resolver);
	ev_timer_init(&bench->tick, on_tick, TURN, TURN);
	ev_timer_start(bench->loop, &bench->tick);
	connector_init(&bench->connector);
	bench->setup = (struct connector_setup){.ctx = &bench->ctx,
		.resolver = bench->resolver,
		.endpoint = &bench->endpoint,
		.plain = &bench->plain,
		.dial_ms = 20000,
		.secure_ms = 20000,
		.on_done = on_done,
		.owner = bench};
	bench->listener = bench->server = -1;
	memset(bench->fillers, -1, sizeof bench->fillers);
	*state = bench;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	connector_cancel(&bench->connector);
	assert_false(ev_is_active(&bench->connector.limit));
	close_fd(&bench->listener);
	close_fd(&bench->server);
	for (int i = 0; i < FILLERS; i++)
		close_fd(&bench->fillers[i]);
	ev_timer_stop(bench->loop, &bench->tick);
	resolver_destroy(bench->resolver);
	loop_ctx_finish(&bench->ctx);
	ev_loop_destroy(bench->loop);
	free(bench);
	return 0;
}

/* Servers. */

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void set_target(struct bench *bench, const char *host, uint16_t port)
{
	bench->endpoint = (struct endpoint){.port = port};
	snprintf(bench->endpoint.host, sizeof bench->endpoint.host, "%s", host);
}

/* A port that is bound; `backlog` below 0: it refuses. */
static uint16_t bind_server(struct bench *bench, int backlog)
{
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof address;
	close_fd(&bench->listener);
	bench->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(bench->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(bench->listener, (struct sockaddr *)&address, &len), 0);
	if (backlog >= 0)
		assert_int_equal(listen(bench->listener, backlog), 0);
	set_target(bench, "127.0.0.1", ntohs(address.sin_port));
	return ntohs(address.sin_port);
}

/* One on which connections wait for ever, its queue being full. */
static uint16_t bind_black_hole(struct bench *bench)
{
	uint16_t port = bind_server(bench, 0);
	struct sockaddr_in address = loopback(port);
	for (int i = 0; i < FILLERS; i++) {
		bench->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(bench->fillers[i], (struct sockaddr *)&address, sizeof address);
	}
	return port;
}

static void accept_client(struct bench *bench)
{
	struct pollfd poll_fd = {.fd = bench->listener, .events = POLLIN};
	close_fd(&bench->server);
	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	bench->server = accept4(bench->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(bench->server >= 0);
}

static void server_says(struct bench *bench, const void *data, size_t len)
{
	assert_int_equal(write(bench->server, data, len), len);
}

static void server_hears(struct bench *bench, const void *expected, size_t len)
{
	char got[1024];
	size_t have = 0;
	struct pollfd poll_fd = {.fd = bench->server, .events = POLLIN};
	while (have < len && poll(&poll_fd, 1, 10000) == 1) {
		ssize_t n = read(bench->server, got + have, len - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_int_equal(have, len);
	assert_memory_equal(got, expected, len);
}

static void server_sees_an_end(struct bench *bench)
{
	char byte;
	struct pollfd poll_fd = {.fd = bench->server, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	assert_true(read(bench->server, &byte, 1) <= 0);
}

/* The connector. */

static enum connect_state start(struct bench *bench)
{
	connector_cancel(&bench->connector);
	bench->done = 0;
	ev_now_update(bench->loop);
	bench->started_us = clock_now_us();
	return connector_start(&bench->connector, &bench->setup);
}

#define run_until(bench, condition)                                                                \
	do {                                                                                       \
		uint64_t limit_us = clock_now_us() + PATIENCE_US;                                  \
		while (!(condition)) {                                                             \
			if (clock_now_us() > limit_us)                                             \
				fail_msg("%s: it never came to that", #condition);                 \
			ev_run((bench)->loop, EVRUN_ONCE);                                         \
		}                                                                                  \
	} while (0)

static void run_turns(struct bench *bench, int turns)
{
	while (turns-- > 0)
		ev_run(bench->loop, EVRUN_ONCE);
}

/* Its outcome, at once or by the one callback. */
static void settle(struct bench *bench, enum connect_state state)
{
	if (state != CONNECT_WAIT) {
		run_turns(bench, 2);
		assert_int_equal(bench->done, 0);
		return;
	}
	run_until(bench, bench->done > 0);
	run_turns(bench, 2);
	assert_int_equal(bench->done, 1);
}

static void assert_ready(struct bench *bench)
{
	struct connector *connector = &bench->connector;
	assert_int_equal(connector->state, CONNECT_READY);
	assert_true(connector_is_connected(connector));
	assert_true(connector->connected_us >= bench->started_us);
	assert_false(ev_is_active(&connector->limit));
	assert_false(ev_is_active(&bench->plain.io));
	assert_false(connector->is_timeout);
}

static void assert_failed(
	struct bench *bench, enum connect_failure failure, bool is_timeout, const char *why)
{
	struct connector *connector = &bench->connector;
	assert_int_equal(connector->state, CONNECT_FAILED);
	assert_int_equal(connector->failure, failure);
	assert_int_equal(connector->is_timeout, is_timeout);
	assert_string_equal(connector->why, why);
	assert_false(ev_is_active(&connector->limit));
	if (is_timeout)
		assert_true(clock_now_us() - bench->started_us + SLACK_US >= 10000);
}

/* What it tries now, or tried; "connected" if it was. */
static const char *tried(struct bench *bench)
{
	static char text[CONNECTOR_TRIED_MAX];
	return connector_tried(&bench->connector, text) ? text : "connected";
}

static const char *target_text(const struct bench *bench)
{
	static char text[64];
	snprintf(text, sizeof text, "127.0.0.1:%u", bench->endpoint.port);
	return text;
}

/* Dialling. */

static void an_address_is_connected_to(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	settle(bench, start(bench));
	assert_ready(bench);
	assert_false(bench->connector.is_by_name);
	assert_string_equal(tried(bench), "connected");
	struct stream *stream = connector_take(&bench->connector);
	assert_null(bench->connector.stream);
	connector_cancel(&bench->connector); /* it is the caller's */
	accept_client(bench);
	struct buf buf = {.data = (uint8_t[]){"hi"}, .end = 2, .size = 2};
	assert_int_equal(stream_write(stream, &buf), IO_DONE);
	server_hears(bench, "hi", 2);
	stream_destroy(stream);
	server_sees_an_end(bench);
}

/* It saves a turn of the loop, and there is no call. */
static void a_unix_socket_answers_at_once(void **state)
{
	struct bench *bench = bench_of(state);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "/tmp/test_connector.%d", getpid());
	bench->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(bench->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(bench->listener, 1), 0);
	bench->endpoint.is_unix = true;
	strcpy(bench->endpoint.host, address.sun_path);
	enum connect_state outcome = start(bench);
	unlink(address.sun_path);
	assert_int_equal(outcome, CONNECT_READY);
	settle(bench, outcome);
	assert_ready(bench);
	assert_int_equal(start(bench), CONNECT_FAILED);
	assert_failed(bench, CONNECT_DIAL, false, "No such file or directory");
	assert_int_equal(bench->connector.error, ENOENT);
}

static void an_address_may_refuse(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, -1);
	settle(bench, start(bench));
	assert_failed(bench, CONNECT_DIAL, false, "connection refused");
	assert_int_equal(bench->connector.error, ECONNREFUSED);
	assert_false(bench->connector.is_unresolved);
	/* The same handle again, for another server. */
	connector_cancel(&bench->connector);
	bind_server(bench, 8);
	settle(bench, start(bench));
	assert_ready(bench);
}

static void a_connection_that_is_not_watched_fails(void **state)
{
	struct bench *bench = bench_of(state);
	bind_black_hole(bench);
	run_turns(bench, 2);
	atomic_store(&epoll_failures, 1);
	settle(bench, start(bench));
	assert_failed(bench, CONNECT_DIAL, false, STREAM_UNWATCHED);
}

/* It is not taken for one that is connected. */
static void an_attempt_that_is_not_watched_fails(void **state)
{
	struct bench *bench = bench_of(state);
	uint16_t port = bind_black_hole(bench);
	set_target(bench, "localhost", port);
	bench->setup.family = AF_INET;
	run_turns(bench, 2);
	atomic_store(&epoll_failures, 1);
	settle(bench, start(bench));
	assert_failed(bench, CONNECT_DIAL, false, "Cannot allocate memory");
}

static void an_address_may_not_answer(void **state)
{
	struct bench *bench = bench_of(state);
	bind_black_hole(bench);
	bench->setup.dial_ms = 10;
	assert_int_equal(start(bench), CONNECT_WAIT);
	assert_string_equal(tried(bench), target_text(bench));
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_DIAL, true, "dial timeout");
	assert_int_equal(bench->connector.error, 0);
	assert_string_equal(tried(bench), target_text(bench));
}

static void without_a_limit_it_waits(void **state)
{
	struct bench *bench = bench_of(state);
	bind_black_hole(bench);
	bench->setup.dial_ms = 0;
	assert_int_equal(start(bench), CONNECT_WAIT);
	assert_false(ev_is_active(&bench->connector.limit));
	run_turns(bench, 5);
	assert_int_equal(bench->done, 0);
}

static void a_name_is_resolved(void **state)
{
	struct bench *bench = bench_of(state);
	uint16_t port = bind_server(bench, 8);
	set_target(bench, "localhost", port);
	bench->setup.family = AF_INET;
	assert_int_equal(start(bench), CONNECT_WAIT);
	settle(bench, CONNECT_WAIT);
	assert_ready(bench);
	assert_true(bench->connector.is_by_name);
	assert_int_equal(bench->connector.address.v4.sin_port, htons(port));
	assert_int_equal(bench->connector.address.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	port = bind_server(bench, -1);
	set_target(bench, "localhost", port);
	settle(bench, start(bench));
	assert_failed(bench, CONNECT_DIAL, false, "connection refused");
	assert_int_equal(bench->connector.error, ECONNREFUSED);
	assert_int_equal(bench->connector.address.len, 0);
}

/* Before the events of each turn: it has cost enough already. */
static void on_turn_begun(struct ev_loop *loop, ev_check *check, int events)
{
	struct bench *bench = check->data;
	(void)loop, (void)events;
	bench->ctx.turn_cost = TURN_COST_MAX + 1;
}

static void what_comes_in_an_exhausted_turn_waits(void **state)
{
	struct bench *bench = bench_of(state);
	uint16_t port = bind_server(bench, 8);
	ev_check check;
	ev_check_init(&check, on_turn_begun);
	ev_set_priority(&check, EV_MAXPRI);
	check.data = bench;
	ev_check_start(bench->loop, &check);
	set_target(bench, "localhost", port);
	bench->setup.family = AF_INET;
	assert_int_equal(start(bench), CONNECT_WAIT);
	run_until(bench, bench->connector.stream); /* it is connected */
	run_turns(bench, 20);
	assert_int_equal(bench->done, 0);
	ev_check_stop(bench->loop, &check);
	settle(bench, CONNECT_WAIT);
	assert_ready(bench);
}

static void a_name_may_have_no_address_of_the_family(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	bench->setup.family = AF_INET6; /* an IPv4 literal */
	settle(bench, start(bench));
	assert_int_equal(bench->connector.state, CONNECT_FAILED);
	assert_int_equal(bench->connector.failure, CONNECT_DIAL);
	assert_true(bench->connector.is_unresolved);
}

static void a_name_that_hangs_in_connecting_names_its_addresses(void **state)
{
	struct bench *bench = bench_of(state);
	uint16_t port = bind_black_hole(bench);
	set_target(bench, "localhost", port);
	bench->setup.family = AF_INET;
	bench->setup.dial_ms = 10;
	settle(bench, start(bench));
	assert_failed(bench, CONNECT_DIAL, true, "dial timeout");
	assert_string_equal(tried(bench), target_text(bench));
}

/* A name server that never answers, at a port of our own. */
static void a_name_server_may_not_answer(void **state)
{
	struct bench *bench = bench_of(state);
	char path[] = "/tmp/test_connector.XXXXXX";
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof address;
	struct err err;
	int fd = mkstemp(path), udp = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(write(fd, TEXT("nameserver 127.0.0.1\n")), 21);
	close(fd);
	assert_int_equal(bind(udp, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(udp, (struct sockaddr *)&address, &len), 0);
	struct dns_source source = {path, ntohs(address.sin_port)};
	bench->setup.resolver = resolver_create(bench->loop, &source, &err);
	assert_non_null(bench->setup.resolver);
	set_target(bench, "server.test.", 443);
	bench->setup.dial_ms = 10;
	assert_int_equal(start(bench), CONNECT_WAIT);
	assert_string_equal(tried(bench), "");
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_DIAL, true, "the name server does not answer");
	assert_string_equal(tried(bench), "");
	connector_cancel(&bench->connector);
	start(bench); /* and once more, to be cancelled while it is resolved */
	connector_cancel(&bench->connector);
	run_turns(bench, 3);
	assert_int_equal(bench->done, 0);
	resolver_destroy(bench->setup.resolver);
	close(udp);
	unlink(path);
}

/* The header. */

static size_t write_hello(void *owner, uint8_t *out, size_t size)
{
	assert_non_null(owner);
	assert_true(size >= 6);
	memcpy(out, "HEADER", 6);
	return 6;
}

static size_t write_nothing(void *owner, uint8_t *out, size_t size)
{
	(void)owner, (void)out, (void)size;
	return 0;
}

static void a_header_comes_first(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	bench->setup.write_header = write_hello;
	settle(bench, start(bench));
	assert_ready(bench);
	accept_client(bench);
	server_hears(bench, "HEADER", 6);
	connector_cancel(&bench->connector);
	server_sees_an_end(bench);
}

static void a_header_that_cannot_be_said_is_a_failure(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	bench->setup.write_header = write_nothing;
	settle(bench, start(bench));
	assert_failed(bench, CONNECT_HEADER, false, "the server did not take the PROXY header");
	assert_string_equal(tried(bench), "connected");
}

/* STARTTLS. */

static void start_ldap(struct bench *bench)
{
	bench->setup.starttls = preface_find("ldap");
	assert_int_equal(start(bench), CONNECT_WAIT);
	accept_client(bench);
	run_until(bench, bench->connector.phase == PHASE_PREFACE);
	server_hears(bench, TEXT(ldap_request));
}

/* All of it has come, and the connector has looked at it. */
static void until_heard(struct bench *bench)
{
	struct pollfd poll_fd = {.fd = bench->plain.io.fd, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	run_until(bench, poll(&poll_fd, 1, 0) == 0);
}

static void starttls_is_agreed_on_at_every_split(void **state)
{
	struct bench *bench = bench_of(state);
	size_t len = sizeof ldap_success - 1;
	bind_server(bench, 8);
	for (size_t at = 1; at <= len; at++) {
		start_ldap(bench);
		server_says(bench, ldap_success, at);
		if (at < len) {
			until_heard(bench);
			assert_int_equal(bench->done, 0);
			server_says(bench, ldap_success + at, len - at);
		}
		settle(bench, CONNECT_WAIT);
		assert_ready(bench);
		assert_null(bench->connector.talk);
	}
}

static void a_header_comes_before_starttls(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	bench->setup.starttls = preface_find("ldap");
	bench->setup.write_header = write_hello;
	assert_int_equal(start(bench), CONNECT_WAIT);
	accept_client(bench);
	run_until(bench, bench->connector.phase == PHASE_PREFACE);
	server_hears(bench, "HEADER", 6);
	server_hears(bench, TEXT(ldap_request));
}

static void assert_answer_fails(
	struct bench *bench, const void *answer, size_t len, const char *why)
{
	start_ldap(bench);
	server_says(bench, answer, len);
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_PREFACE, false, why);
	connector_cancel(&bench->connector);
	server_sees_an_end(bench);
}

static void a_server_may_decline_starttls(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	assert_answer_fails(bench, TEXT("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"),
		"LDAP: the server declines StartTLS");
	assert_answer_fails(bench, TEXT("\x30\x05\x02\x01\x01\x0a\x00"),
		"LDAP: the server does not answer StartTLS");
	assert_answer_fails(
		bench, TEXT("220 mail.test ESMTP\r\n"), "LDAP: the server speaks another protocol");
	assert_answer_fails(bench, TEXT("\x30\x80\x00"), "LDAP: not an LDAP message, or too long");
}

/* They could be anybody's. */
static void bytes_behind_the_answer_are_refused(void **state)
{
	struct bench *bench = bench_of(state);
	char all[64];
	size_t len = sizeof ldap_success - 1;
	bind_server(bench, 8);
	memcpy(all, ldap_success, len);
	memset(all + len, 0x16, sizeof all - len);
	for (size_t more = 1; more <= 40; more += 13)
		assert_answer_fails(
			bench, all, len + more, "LDAP: the server sends bytes before TLS");
}

static void a_server_may_close_within_its_answer(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	for (size_t at = 0; at < sizeof ldap_success - 1; at++) {
		start_ldap(bench);
		if (at > 0)
			server_says(bench, ldap_success, at);
		shutdown(bench->server, SHUT_WR);
		settle(bench, CONNECT_WAIT);
		assert_failed(
			bench, CONNECT_PREFACE, false, "LDAP: the server closed the connection");
	}
	start_ldap(bench);
	setsockopt(bench->server, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
		sizeof(struct linger));
	close_fd(&bench->server);
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_PREFACE, false, "LDAP: reset by peer");
}

/*
 * A conversation of the test's own: at the beginning it says GO; it answers each letter but "E", "L" and "N" with
 * the same, and whatever begins with another byte is never enough.
 */
static enum talk toy_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	assert_int_equal(heard.len == 0, state->phase++ == 0);
	state->want = heard.len + 1;
	if (heard.len > 0 && heard.data[0] == 'E')
		return *used = 1, TALK_DONE;
	if (heard.len > 0 && heard.data[0] == 'L')
		return TALK_LEAVE;
	if (heard.len > 0 && heard.data[0] == 'N')
		return TALK_NOT_MINE;
	if (heard.len > 0 && (heard.data[0] < 'A' || heard.data[0] > 'Z'))
		return TALK_MORE;
	*used = heard.len > 0;
	preface_say(
		say, heard.len > 0 ? heard.data : (const uint8_t *)"GO\n", heard.len > 0 ? 1 : 3);
	return TALK_SAY;
}

static const struct preface toy = {
	.name = "toy", .title = "Toy", .is_starttls = true, .heard_max = 8, .back = toy_back};
static const struct preface large_toy = {
	.name = "toy", .title = "Toy", .is_starttls = true, .back = toy_back};

static void start_toy(struct bench *bench, const struct preface *preface)
{
	bench->setup.starttls = preface;
	assert_int_equal(start(bench), CONNECT_WAIT);
	accept_client(bench);
	server_hears(bench, "GO\n", 3);
}

static void server_is_echoed(struct bench *bench, const char *text)
{
	server_says(bench, text, strlen(text));
	until_heard(bench);
	server_hears(bench, text, strlen(text));
}

/* A turn has bytes that are not used yet, if it is not the first. */
static void turns_follow_what_comes(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	start_toy(bench, &toy);
	server_is_echoed(bench, "A");
	server_is_echoed(bench, "BCD");
	server_says(bench, TEXT("FE"));
	settle(bench, CONNECT_WAIT);
	assert_ready(bench);
	server_hears(bench, "F", 1);
	start_toy(bench, &toy);
	server_says(bench, TEXT("AN"));
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_PREFACE, false, "Toy: the server speaks another protocol");
}

/* It is for clients that we serve. */
static void nobody_leaves_a_server(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	start_toy(bench, &toy);
	server_says(bench, TEXT("L"));
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_PREFACE, false, "Toy: the conversation ends without TLS");
}

static void assert_maximum(struct bench *bench, const struct preface *preface)
{
	static const char much[PREFACE_HEARD_MAX];
	start_toy(bench, preface);
	server_says(bench, much, preface_heard_max(preface) - 1);
	until_heard(bench);
	assert_int_equal(bench->done, 0);
	server_says(bench, much, 1);
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_PREFACE, false, "Toy: the server's answer is too long");
}

static void an_answer_has_its_maximum(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	assert_maximum(bench, &toy);
	assert_maximum(bench, &large_toy);
	start_toy(bench, &toy); /* what is used does not count */
	server_is_echoed(bench, "ABCDFGHIJKMABCDFGHIJKM");
	server_says(bench, TEXT("E"));
	settle(bench, CONNECT_WAIT);
	assert_ready(bench);
}

static void an_answer_may_not_come(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	bench->setup.secure_ms = 10;
	start_ldap(bench);
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_PREFACE, true, "LDAP: timeout");
	assert_string_equal(tried(bench), "connected");
	/* One limit for all of it. */
	bench->setup.secure_ms = CONNECT_SAME_LIMIT;
	bench->setup.dial_ms = 10;
	start_ldap(bench);
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_PREFACE, true, "LDAP: timeout");
	/* The limit of dialling is over once it is connected. */
	bench->setup.secure_ms = 20000;
	start_ldap(bench);
	uint64_t until = clock_now_us() + 15000;
	run_until(bench, clock_now_us() > until);
	assert_int_equal(bench->done, 0);
	server_says(bench, TEXT(ldap_success));
	settle(bench, CONNECT_WAIT);
	assert_ready(bench);
}

/* TLS. */

static SSL_CTX *server_context(void)
{
	const struct made_name names[] = {{0, GEN_DNS, span_of_string("server.test")}};
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = made_key();
	X509 *certificate = made_certificate(key, names, 1);
	assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

static struct tls_peer *make_peer(bool unverified)
{
	struct tls_client_policy policy = {.min_version = TLS1_2_VERSION, .unverified = unverified};
	struct err err;
	struct tls_client *client = tls_client_create(&policy, &err);
	assert_non_null(client);
	struct tls_peer *peer = tls_peer_create(client, "server.test", &err);
	assert_non_null(peer);
	tls_client_unref(client);
	return peer;
}

static void shake_hands_with(struct bench *bench)
{
	SSL_CTX *context = server_context();
	SSL *ssl = SSL_new(context);
	SSL_set_fd(ssl, bench->server);
	uint64_t limit_us = clock_now_us() + PATIENCE_US;
	while (bench->done == 0 && clock_now_us() < limit_us) {
		SSL_accept(ssl);
		ev_run(bench->loop, EVRUN_ONCE);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
	assert_int_equal(bench->done, 1);
}

static void tls_is_negotiated(void **state)
{
	struct bench *bench = bench_of(state);
	struct stream_facts facts;
	bind_server(bench, 8);
	bench->setup.tls = make_peer(true);
	assert_int_equal(start(bench), CONNECT_WAIT);
	accept_client(bench);
	shake_hands_with(bench);
	assert_ready(bench);
	struct stream *stream = connector_take(&bench->connector);
	stream_facts(stream, &facts);
	assert_string_equal(facts.tls_version, "TLSv1.3");
	stream_destroy(stream);
	/* Behind an answer to STARTTLS the same. */
	start_ldap(bench);
	server_says(bench, TEXT(ldap_success));
	run_until(bench, bench->connector.phase == PHASE_TLS);
	shake_hands_with(bench);
	assert_ready(bench);
	connector_cancel(&bench->connector);
	tls_peer_unref(bench->setup.tls);
}

static void a_certificate_may_be_refused(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	bench->setup.tls = make_peer(false);
	assert_int_equal(start(bench), CONNECT_WAIT);
	accept_client(bench);
	shake_hands_with(bench);
	assert_int_equal(bench->connector.state, CONNECT_FAILED);
	assert_int_equal(bench->connector.failure, CONNECT_HANDSHAKE);
	assert_memory_equal(bench->connector.why, "handshake: ", 11);
	assert_false(bench->connector.is_timeout);
	connector_cancel(&bench->connector);
	tls_peer_unref(bench->setup.tls);
}

static void a_server_may_not_speak_tls(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, 8);
	bench->setup.tls = make_peer(true);
	assert_int_equal(start(bench), CONNECT_WAIT);
	accept_client(bench);
	server_says(bench, TEXT("HTTP/1.1 400 Bad Request\r\n\r\n"));
	settle(bench, CONNECT_WAIT);
	assert_int_equal(bench->connector.failure, CONNECT_HANDSHAKE);
	assert_memory_equal(bench->connector.why, "handshake: ", 11);
	assert_int_equal(start(bench), CONNECT_WAIT);
	accept_client(bench);
	shutdown(bench->server, SHUT_WR);
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_HANDSHAKE, false, "handshake: closed during the handshake");
	bench->setup.secure_ms = 10;
	assert_int_equal(start(bench), CONNECT_WAIT);
	settle(bench, CONNECT_WAIT);
	assert_failed(bench, CONNECT_HANDSHAKE, true, "handshake: timeout");
	assert_string_equal(tried(bench), "connected");
	connector_cancel(&bench->connector);
	tls_peer_unref(bench->setup.tls);
}

/* Cancelling. */

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void start_in_phase(struct bench *bench, enum connect_phase phase)
{
	switch (phase) {
	case PHASE_DIAL:
		set_target(bench, "localhost", bind_black_hole(bench));
		bench->setup.family = AF_INET;
		break;
	case PHASE_CONNECT:
		bind_black_hole(bench);
		break;
	case PHASE_HEADER: /* never waits */
		bind_server(bench, 8);
		bench->setup.write_header = write_hello;
		break;
	case PHASE_PREFACE:
		bind_server(bench, 8);
		bench->setup.starttls = preface_find("ldap");
		break;
	case PHASE_GREETING:
		bind_server(bench, 8);
		bench->setup.greeter = preface_find("pop3");
		bench->setup.tls = NULL;
		break;
	case PHASE_TLS:
		bind_server(bench, 8);
		break;
	}
	enum connect_state state = start(bench);
	assert_int_not_equal(state, CONNECT_FAILED);
	if (phase != PHASE_HEADER)
		run_until(bench, bench->connector.phase == phase);
}

/* In whatever phase, also a few turns later, and twice; what a phase leaves behind ASan would see. */
static void cancelling_leaves_nothing(void **state)
{
	struct bench *bench = bench_of(state);
	const struct connector_setup setup = bench->setup;
	struct tls_peer *peer = make_peer(true);
	unsigned before = 0;
	/* The first round opens what the resolver keeps. */
	for (int round = 0; round < 3; round++)
		for (enum connect_phase phase = PHASE_DIAL; phase <= PHASE_GREETING; phase++) {
			bench->setup = setup;
			bench->setup.tls = phase == PHASE_TLS ? peer : NULL;
			start_in_phase(bench, phase);
			run_turns(bench, 2 * round);
			unsigned done = bench->done;
			connector_cancel(&bench->connector);
			connector_cancel(&bench->connector);
			assert_false(ev_is_active(&bench->connector.limit));
			assert_null(bench->connector.stream);
			assert_null(bench->connector.talk);
			assert_null(bench->connector.dial);
			run_turns(bench, 3);
			assert_int_equal(bench->done, done);
			close_fd(&bench->listener);
			for (int i = 0; i < FILLERS; i++)
				close_fd(&bench->fillers[i]);
			if (round == 1 && phase == PHASE_DIAL)
				before = open_descriptors();
		}
	assert_int_equal(open_descriptors(), before);
	tls_peer_unref(peer);
}

static void failures_may_be_cancelled(void **state)
{
	struct bench *bench = bench_of(state);
	bind_server(bench, -1);
	unsigned before = open_descriptors();
	for (int i = 0; i < 3; i++) {
		settle(bench, start(bench));
		connector_cancel(&bench->connector);
	}
	assert_int_equal(open_descriptors(), before);
	connector_init(&bench->connector); /* one that never began */
	connector_cancel(&bench->connector);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_is_connected_to),
		TEST(a_unix_socket_answers_at_once),
		TEST(an_address_may_refuse),
		TEST(a_connection_that_is_not_watched_fails),
		TEST(an_attempt_that_is_not_watched_fails),
		TEST(an_address_may_not_answer),
		TEST(without_a_limit_it_waits),
		TEST(a_name_is_resolved),
		TEST(what_comes_in_an_exhausted_turn_waits),
		TEST(a_name_may_have_no_address_of_the_family),
		TEST(a_name_that_hangs_in_connecting_names_its_addresses),
		TEST(a_name_server_may_not_answer),
		TEST(a_header_comes_first),
		TEST(a_header_that_cannot_be_said_is_a_failure),
		TEST(starttls_is_agreed_on_at_every_split),
		TEST(a_header_comes_before_starttls),
		TEST(a_server_may_decline_starttls),
		TEST(bytes_behind_the_answer_are_refused),
		TEST(a_server_may_close_within_its_answer),
		TEST(turns_follow_what_comes),
		TEST(nobody_leaves_a_server),
		TEST(an_answer_has_its_maximum),
		TEST(an_answer_may_not_come),
		TEST(tls_is_negotiated),
		TEST(a_certificate_may_be_refused),
		TEST(a_server_may_not_speak_tls),
		TEST(cancelling_leaves_nothing),
		TEST(failures_may_be_cancelled),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
