/* What waits inside a stream, where poll cannot see it, moves all the same, and others get their turn. */
#include "net/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A stream that has so many bytes in itself, however few are asked for, and takes whatever comes. */
struct hoard {
	struct stream stream;
	struct socket socket;
	int peer;
	size_t inside, taken;
	unsigned reads;
};

static struct hoard *of(const struct stream *stream)
{
	return (struct hoard *)stream;
}

static enum io hoard_read(struct stream *stream, struct buf *buf)
{
	struct hoard *hoard = of(stream);
	size_t size = buf_room(buf) < hoard->inside ? buf_room(buf) : hoard->inside;
	hoard->reads++;
	memset(buf->data + buf->end, 'x', size);
	buf->end += size;
	hoard->inside -= size;
	return size > 0 ? IO_DONE : IO_AGAIN;
}

static enum io hoard_write(struct stream *stream, struct buf *buf)
{
	of(stream)->taken += buf_used(buf);
	buf->start = buf->end;
	return IO_DONE;
}

static enum io hoard_end(struct stream *stream)
{
	(void)stream;
	return IO_DONE;
}

static int hoard_events(const struct stream *stream, int wanted)
{
	(void)stream;
	return wanted;
}

static bool hoard_pending(const struct stream *stream)
{
	return of(stream)->inside > 0;
}

static int hoard_raw_fd(const struct stream *stream)
{
	(void)stream;
	return -1;
}

static const struct stream_ops hoard_ops = {
	.read = hoard_read,
	.write = hoard_write,
	.end = hoard_end,
	.events = hoard_events,
	.pending = hoard_pending,
	.raw_fd = hoard_raw_fd,
};

static void hoard_init(struct hoard *hoard, struct ev_loop *loop, size_t inside)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*hoard = (struct hoard){.peer = fds[1], .inside = inside};
	socket_init(&hoard->socket, loop, fds[0], NULL, NULL);
	hoard->stream = (struct stream){.ops = &hoard_ops, .socket = &hoard->socket};
}

static void hoard_finish(struct hoard *hoard)
{
	socket_close(&hoard->socket);
	close(hoard->peer);
}

struct fixture {
	struct lane lane;
	struct hoard client, upstream;
	struct relay relay;
};

static void on_ended(void *owner, struct stream *broken)
{
	(void)owner, (void)broken;
	fail_msg("nobody has ended");
}

static void begin(struct fixture *fixture, size_t client, size_t upstream)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct err err;
	assert_true(lane_init(&fixture->lane, loop, &err));
	hoard_init(&fixture->client, loop, client);
	hoard_init(&fixture->upstream, loop, upstream);
	relay_start(&fixture->relay, &fixture->lane, &fixture->client.stream,
		&fixture->upstream.stream, on_ended, fixture);
}

static void finish(struct fixture *fixture)
{
	relay_finish(&fixture->relay);
	hoard_finish(&fixture->client);
	hoard_finish(&fixture->upstream);
	lane_finish(&fixture->lane);
	ev_loop_destroy(fixture->lane.loop);
}

/* A server that speaks first may have done so in the segment that ended the handshake. */
static void what_came_with_the_handshake_is_passed_on(void **state)
{
	struct fixture fixture;
	(void)state;
	begin(&fixture, 100, 1000);
	assert_int_equal(fixture.upstream.taken, 100);
	assert_int_equal(fixture.client.taken, 1000);
	finish(&fixture);
}

static void a_busy_stream_leaves_the_others_their_turn(void **state)
{
	const size_t much = 256 * 1024 * 1024;
	struct fixture fixture;
	(void)state;
	begin(&fixture, much, 0);
	assert_true(fixture.client.reads < 20);
	for (unsigned turn = 0, before; fixture.client.inside > 0; turn++) {
		before = fixture.client.reads;
		assert_true(turn < 10000);
		ev_run(fixture.lane.loop, EVRUN_NOWAIT);
		assert_true(fixture.client.reads - before < 20);
	}
	assert_int_equal(fixture.upstream.taken, much);
	finish(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_came_with_the_handshake_is_passed_on),
		cmocka_unit_test(a_busy_stream_leaves_the_others_their_turn),
	};
	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
