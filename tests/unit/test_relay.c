/*
 * Two directions between real sockets on a real loop: every order in which the two
 * sides may end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failing_epoll.h"
#include "net/pipes.h"
#include "net/plain_stream.h"
#include "net/relay.h"

#define TURNS_MAX 20000

enum side { CLIENT, SERVER };

/* far[CLIENT] -- near[CLIENT] relay near[SERVER] -- far[SERVER]; the test is at the far ends. */
struct rig {
	struct ev_loop *loop;
	struct loop_ctx ctx;
	struct plain_stream near[2];
	struct stream *streams[2];
	struct relay relay;
	int far[2];
	unsigned ended;
	struct stream *broken;
};

static void make_pair(int fds[2])
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof here;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&here, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&here, &len);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&here, len), 0);
	fds[1] = accept(listener, NULL, NULL);
	close(listener);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
}

/* As a session does: a clean end closes, a broken one resets. */
static void on_ended(void *owner, struct stream *broken)
{
	struct rig *rig = owner;
	rig->ended++;
	rig->broken = broken;
	relay_finish(&rig->relay);
	for (enum side side = CLIENT; side <= SERVER; side++) {
		if (broken)
			stream_abort(rig->streams[side]);
		stream_destroy(rig->streams[side]);
	}
}

static void rig_open(struct rig *rig)
{
	struct err err;
	*rig = (struct rig){.loop = ev_loop_new(0)};
	assert_true(loop_ctx_init(&rig->ctx, rig->loop, &err));
	for (enum side side = CLIENT; side <= SERVER; side++) {
		int fds[2];
		make_pair(fds);
		rig->far[side] = fds[0];
		rig->streams[side] = plain_stream_init(&rig->near[side], rig->loop, fds[1]);
	}
}

static void rig_start(struct rig *rig)
{
	relay_start(
		&rig->relay, &rig->ctx, rig->streams[CLIENT], rig->streams[SERVER], on_ended, rig);
}

static void turn(struct rig *rig)
{
	ev_run(rig->loop, EVRUN_NOWAIT);
}

static void rig_close(struct rig *rig)
{
	if (!rig->ended) {
		relay_finish(&rig->relay);
		stream_destroy(rig->streams[CLIENT]);
		stream_destroy(rig->streams[SERVER]);
	}
	for (enum side side = CLIENT; side <= SERVER; side++)
		if (rig->far[side] >= 0)
			close(rig->far[side]);
	assert_int_equal(pipes_in_use(rig->ctx.pipes), 0);
	loop_ctx_finish(&rig->ctx);
	ev_loop_destroy(rig->loop);
}

static enum side other(enum side side)
{
	return side == CLIENT ? SERVER : CLIENT;
}

static void say(struct rig *rig, enum side side, const char *text)
{
	assert_int_equal(send(rig->far[side], text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What is at the far end now, after the relay has had its turns: its bytes, "|" at the end, "!" at
 * a reset. */
static const char *hear(struct rig *rig, enum side side)
{
	static char heard[2][256];
	char *out = heard[side];
	size_t used = 0;
	for (int i = 0; i < 50; i++) {
		turn(rig);
		ssize_t n = recv(rig->far[side], out + used, sizeof heard[side] - used - 2, 0);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n > 0) {
			used += (size_t)n;
			continue;
		}
		out[used++] = n == 0 ? '|' : '!';
		break;
	}
	out[used] = '\0';
	return out;
}

static void half_close(struct rig *rig, enum side side)
{
	shutdown(rig->far[side], SHUT_WR);
}

static void reset(struct rig *rig, enum side side)
{
	struct linger now = {1, 0};
	setsockopt(rig->far[side], SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(rig->far[side]);
	rig->far[side] = -1;
}

static void test_bytes_go_both_ways(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	say(&rig, CLIENT, "before it began; ");
	rig_start(&rig);
	say(&rig, CLIENT, "hello");
	assert_string_equal(hear(&rig, SERVER), "before it began; hello");
	say(&rig, SERVER, "well met");
	assert_string_equal(hear(&rig, CLIENT), "well met");
	assert_int_equal(rig.ended, 0);
	assert_int_equal(rig.relay.up.bytes, 22);
	assert_int_equal(rig.relay.down.bytes, 8);
	rig_close(&rig);
}

static void test_one_side_ends_then_the_other(void **state)
{
	(void)state;
	for (enum side first = CLIENT; first <= SERVER; first++) {
		struct rig rig;
		rig_open(&rig);
		rig_start(&rig);
		say(&rig, first, "that is all");
		half_close(&rig, first);
		assert_string_equal(hear(&rig, other(first)), "that is all|");
		assert_int_equal(rig.ended, 0);
		say(&rig, other(first), "but I go on");
		assert_string_equal(hear(&rig, first), "but I go on");
		half_close(&rig, other(first));
		assert_string_equal(hear(&rig, first), "|");
		assert_int_equal(rig.ended, 1);
		assert_null(rig.broken);
		rig_close(&rig);
	}
}

static void test_both_end_at_once(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_start(&rig);
	say(&rig, CLIENT, "1");
	say(&rig, SERVER, "2");
	half_close(&rig, CLIENT);
	half_close(&rig, SERVER);
	assert_string_equal(hear(&rig, CLIENT), "2|");
	assert_string_equal(hear(&rig, SERVER), "1|");
	assert_int_equal(rig.ended, 1);
	assert_null(rig.broken);
	rig_close(&rig);
}

static void test_ended_before_it_began(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	say(&rig, CLIENT, "in a hurry");
	half_close(&rig, CLIENT);
	half_close(&rig, SERVER);
	rig_start(&rig);
	assert_string_equal(hear(&rig, SERVER), "in a hurry|");
	assert_int_equal(rig.ended, 1);
	assert_null(rig.broken);
	rig_close(&rig);
}

static void test_a_reset_is_passed_on(void **state)
{
	(void)state;
	for (enum side first = CLIENT; first <= SERVER; first++) {
		struct rig rig;
		rig_open(&rig);
		rig_start(&rig);
		say(&rig, first, "and");
		assert_string_equal(hear(&rig, other(first)), "and");
		reset(&rig, first);
		assert_string_equal(hear(&rig, other(first)), "!");
		assert_int_equal(rig.ended, 1);
		assert_ptr_equal(rig.broken, rig.streams[first]);
		assert_string_equal(rig.broken->error, "reset by peer");
		rig_close(&rig);
	}
}

static void test_a_reset_after_the_others_end(void **state)
{
	(void)state;
	for (enum side first = CLIENT; first <= SERVER; first++) {
		struct rig rig;
		rig_open(&rig);
		rig_start(&rig);
		half_close(&rig, first);
		assert_string_equal(hear(&rig, other(first)), "|");
		reset(&rig, other(first));
		assert_string_equal(hear(&rig, first), "!");
		assert_int_equal(rig.ended, 1);
		assert_ptr_equal(rig.broken, rig.streams[other(first)]);
		rig_close(&rig);
	}
}

/* It said its end, then it was gone: noticed when there is something to tell it. */
static void test_a_reset_after_its_own_end(void **state)
{
	(void)state;
	for (enum side first = CLIENT; first <= SERVER; first++) {
		struct rig rig;
		rig_open(&rig);
		rig_start(&rig);
		half_close(&rig, first);
		assert_string_equal(hear(&rig, other(first)), "|");
		reset(&rig, first);
		say(&rig, other(first), "are you there?");
		for (int i = 0; i < 50 && !rig.ended; i++)
			turn(&rig);
		assert_int_equal(rig.ended, 1);
		assert_ptr_equal(rig.broken, rig.streams[first]);
		rig_close(&rig);
	}
}

static void test_both_reset(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_start(&rig);
	reset(&rig, CLIENT);
	reset(&rig, SERVER);
	for (int i = 0; i < 50 && !rig.ended; i++)
		turn(&rig);
	assert_int_equal(rig.ended, 1);
	assert_non_null(rig.broken);
	rig_close(&rig);
}

/* Until nobody takes any more; how much that was. */
static size_t fill(struct rig *rig, enum side side)
{
	static char data[65536];
	size_t total = 0;
	for (int idle = 0; idle < 20;) {
		ssize_t n = send(rig->far[side], data, sizeof data, MSG_NOSIGNAL);
		turn(rig);
		total += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
	}
	return total;
}

/* Whoever hears of a reset by writing has taken the error: reading must not say "end" then. */
static void test_a_reset_while_bytes_wait_for_it(void **state)
{
	(void)state;
	for (enum side gone = CLIENT; gone <= SERVER; gone++) {
		struct rig rig;
		rig_open(&rig);
		rig_start(&rig);
		fill(&rig, other(gone));
		reset(&rig, gone);
		assert_string_equal(hear(&rig, other(gone)), "!");
		assert_int_equal(rig.ended, 1);
		assert_ptr_equal(rig.broken, rig.streams[gone]);
		rig_close(&rig);
	}
}

static void test_a_reset_while_its_bytes_wait(void **state)
{
	static char data[65536];
	(void)state;
	for (enum side gone = CLIENT; gone <= SERVER; gone++) {
		struct rig rig;
		ssize_t n = 0;
		rig_open(&rig);
		rig_start(&rig);
		fill(&rig, gone);
		reset(&rig, gone);
		for (int i = 0; i < TURNS_MAX && !rig.ended; i++) {
			n = recv(rig.far[other(gone)], data, sizeof data, 0);
			assert_int_not_equal(n, 0);
			turn(&rig);
		}
		while ((n = recv(rig.far[other(gone)], data, sizeof data, 0)) > 0)
			continue;
		assert_int_equal(n, -1);
		assert_int_equal(errno, ECONNRESET);
		assert_ptr_equal(rig.broken, rig.streams[gone]);
		rig_close(&rig);
	}
}

/* A server that closes with a request unread: the kernel resets behind its words. */
static void test_closings(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_start(&rig);
	say(&rig, CLIENT, "a request that nobody reads");
	for (int i = 0; i < 50; i++)
		turn(&rig);
	say(&rig, SERVER, "too busy");
	close(rig.far[SERVER]);
	rig.far[SERVER] = -1;
	assert_string_equal(hear(&rig, CLIENT), "too busy!");
	assert_ptr_equal(rig.broken, rig.streams[SERVER]);
	rig_close(&rig);
}

/* Poll interest is derived: with nothing to do nothing is woken. */
static void test_waits_without_spinning(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_start(&rig);
	half_close(&rig, CLIENT); /* its end stays readable for ever */
	assert_string_equal(hear(&rig, SERVER), "|");
	assert_int_equal(
		rig.near[CLIENT].io.events & EV_READ && ev_is_active(&rig.near[CLIENT].io), 0);
	fill(&rig, SERVER);
	assert_true(ev_is_active(&rig.near[CLIENT].io)); /* to write */
	assert_false(ev_is_active(&rig.near[SERVER].io));
	ev_tstamp active_at = rig.relay.active_at;
	for (int i = 0; i < 100; i++)
		turn(&rig);
	assert_true(rig.relay.active_at == active_at);
	rig_close(&rig);
}

static void test_activity_is_noted(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_start(&rig);
	ev_tstamp before = rig.relay.active_at;
	usleep(2000);
	ev_now_update(rig.loop);
	say(&rig, SERVER, "x");
	assert_string_equal(hear(&rig, CLIENT), "x");
	assert_true(rig.relay.active_at > before);
	rig_close(&rig);
}

/* All orders of what two sides may do, to the end: there is one end, and no descriptor or pipe
 * left. */
static void test_any_order(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 400; seed++) {
		struct rig rig;
		srand(seed);
		rig_open(&rig);
		rig_start(&rig);
		bool is_over[2] = {false, false};
		for (int step = 0; step < 1000 && !rig.ended; step++) {
			enum side side = rand() % 2 ? CLIENT : SERVER;
			char data[5000] = "";
			switch (rand() % 8) {
			case 0:
				if (step > 20 && !is_over[side] && rig.far[side] >= 0)
					half_close(&rig, side);
				is_over[side] |= step > 20;
				break;
			case 1:
				if (step > 20 && rand() % 4 == 0 && rig.far[side] >= 0)
					reset(&rig, side);
				break;
			case 2:
			case 3:
				if (!is_over[side] && rig.far[side] >= 0)
					(void)!send(rig.far[side], data,
						(size_t)rand() % sizeof data, MSG_NOSIGNAL);
				break;
			case 4:
			case 5:
				if (rig.far[side] >= 0)
					(void)!recv(rig.far[side], data, sizeof data, 0);
				break;
			default:
				turn(&rig);
			}
		}
		assert_in_range(rig.ended, 0, 1);
		rig_close(&rig);
	}
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

/* Without another event of the loop. */
static void test_a_stream_that_is_not_watched_breaks(void **state)
{
	struct rig rig;
	ev_timer late;
	(void)state;
	rig_open(&rig);
	turn(&rig); /* libev watches what it needs */
	rig_start(&rig);
	atomic_store(&epoll_failures, 1);
	ev_timer_init(&late, on_late, 5., 0.);
	ev_timer_start(rig.loop, &late);
	while (!rig.ended && ev_is_active(&late))
		ev_run(rig.loop, EVRUN_ONCE);
	assert_int_equal(atomic_exchange(&epoll_failures, 0), 0);
	assert_true(ev_is_active(&late));
	ev_timer_stop(rig.loop, &late);
	assert_int_equal(rig.ended, 1);
	assert_non_null(rig.broken);
	assert_true(rig.relay.is_unwatched);
	assert_string_equal(rig.broken->error, STREAM_UNWATCHED);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_go_both_ways),
		cmocka_unit_test(test_one_side_ends_then_the_other),
		cmocka_unit_test(test_both_end_at_once),
		cmocka_unit_test(test_ended_before_it_began),
		cmocka_unit_test(test_a_reset_is_passed_on),
		cmocka_unit_test(test_a_reset_after_the_others_end),
		cmocka_unit_test(test_a_reset_after_its_own_end),
		cmocka_unit_test(test_both_reset),
		cmocka_unit_test(test_a_reset_while_bytes_wait_for_it),
		cmocka_unit_test(test_a_reset_while_its_bytes_wait),
		cmocka_unit_test(test_closings),
		cmocka_unit_test(test_waits_without_spinning),
		cmocka_unit_test(test_activity_is_noted),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_a_stream_that_is_not_watched_breaks),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
