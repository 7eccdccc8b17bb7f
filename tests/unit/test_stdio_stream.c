/* Pipes, socket pairs and files as one stream: their ends, and readers that go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/stdio_stream.h"

/* theirs_in -> [in] stream [out] -> theirs_out; -1: closed. */
struct rig {
	struct ev_loop *loop;
	struct stdio_stream stdio;
	int in, out, theirs_in, theirs_out;
	int times_gone, times_ending;
};

static void on_reader_gone(void *owner)
{
	((struct rig *)owner)->times_gone++;
}

static void on_ending(void *owner)
{
	((struct rig *)owner)->times_ending++;
}

static void on_ready(void *owner, struct stream *stream, int events)
{
	(void)owner, (void)stream, (void)events;
}

static void rig_start(struct rig *rig)
{
	rig->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	stdio_stream_init(&rig->stdio, rig->loop, rig->in, rig->out);
	stream_set_driver(&rig->stdio.stream, on_ready, rig);
	stdio_stream_watch(&rig->stdio, &(struct stdio_events){on_reader_gone, on_ending, rig});
}

static void rig_pipes(struct rig *rig)
{
	int in[2], out[2];
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	*rig = (struct rig){.in = in[0], .theirs_in = in[1], .theirs_out = out[0], .out = out[1]};
	rig_start(rig);
}

static void rig_socket_pair(struct rig *rig)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	*rig = (struct rig){
		.in = fds[0], .out = dup(fds[0]), .theirs_in = fds[1], .theirs_out = dup(fds[1])};
	rig_start(rig);
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void rig_finish(struct rig *rig)
{
	stream_destroy(&rig->stdio.stream);
	ev_loop_destroy(rig->loop);
	close_end(&rig->in);
	close_end(&rig->out);
	close_end(&rig->theirs_in);
	close_end(&rig->theirs_out);
}

static enum io rig_read(struct rig *rig, size_t *len)
{
	uint8_t data[64];
	struct buf buf = {.data = data, .size = sizeof data};
	enum io io = stream_read(&rig->stdio.stream, &buf);
	*len = buf_used(&buf);
	return io;
}

static enum io rig_write(struct rig *rig, const char *text)
{
	uint8_t data[64];
	struct buf buf = {.data = data, .end = strlen(text), .size = sizeof data};
	memcpy(data, text, strlen(text));
	enum io io = stream_write(&rig->stdio.stream, &buf);
	assert_true(io != IO_DONE || buf_used(&buf) == 0);
	return io;
}

static void a_pipe_without_reader_is_an_event_and_no_error(void **state)
{
	struct rig rig;
	(void)state;
	rig_pipes(&rig);
	ev_run(rig.loop, EVRUN_NOWAIT);
	assert_int_equal(rig.times_gone, 0);
	close_end(&rig.theirs_out);
	ev_run(rig.loop, EVRUN_ONCE);
	assert_int_equal(rig.times_gone, 1);
	assert_int_equal(rig.stdio.bytes_lost, 0);
	assert_int_equal(rig_write(&rig, "lost"), IO_DONE);
	assert_int_equal(rig.stdio.bytes_lost, 4);
	assert_int_equal(stream_end(&rig.stdio.stream, HALF_CLOSE), IO_DONE);
	assert_int_equal(rig.times_ending, 1);
	rig_finish(&rig);
}

static void what_was_written_before_the_input_closed_is_still_read(void **state)
{
	struct rig rig;
	size_t len;
	(void)state;
	rig_pipes(&rig);
	assert_int_equal(rig_read(&rig, &len), IO_AGAIN);
	assert_int_equal(write(rig.theirs_in, "words", 5), 5);
	assert_false(stdio_stream_input_is_closed(&rig.stdio));
	close_end(&rig.theirs_in);
	assert_true(stdio_stream_input_is_closed(&rig.stdio));
	assert_false(stdio_stream_input_is_exhausted(&rig.stdio));
	assert_int_equal(rig_read(&rig, &len), IO_DONE);
	assert_int_equal(len, 5);
	assert_true(stdio_stream_input_is_exhausted(&rig.stdio));
	assert_int_equal(rig_read(&rig, &len), IO_EOF);
	assert_true(stdio_stream_input_is_exhausted(&rig.stdio));
	rig_finish(&rig);
}

/* A socket pair that is closed with bytes unread answers ECONNRESET, to whoever comes first. */
static void the_reset_of_a_socket_pair_is_its_end(void **state)
{
	for (int write_first = 0; write_first < 2; write_first++) {
		struct rig rig;
		size_t len;
		(void)state;
		rig_socket_pair(&rig);
		assert_int_equal(rig_write(&rig, "unread"), IO_DONE);
		assert_int_equal(write(rig.theirs_in, "last", 4), 4);
		close_end(&rig.theirs_in);
		close_end(&rig.theirs_out);
		if (write_first) {
			assert_int_equal(rig_write(&rig, "lost"), IO_DONE);
			assert_int_equal(rig.times_gone, 1);
		}
		assert_int_equal(rig_read(&rig, &len), IO_DONE);
		assert_int_equal(len, 4);
		assert_true(stdio_stream_input_is_exhausted(&rig.stdio));
		assert_int_equal(rig_read(&rig, &len), IO_EOF);
		assert_int_equal(rig_read(&rig, &len), IO_EOF);
		rig_finish(&rig);
	}
}

static void the_reset_of_a_tcp_socket_is_an_error(void **state)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof here;
	struct rig rig = {.theirs_out = -1};
	size_t len;
	(void)state;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&here, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&here, &size);
	rig.in = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(rig.in, (struct sockaddr *)&here, size), 0);
	rig.theirs_in = accept(listener, NULL, NULL);
	rig.out = dup(rig.in);
	rig_start(&rig);
	setsockopt(rig.theirs_in, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
		sizeof(struct linger));
	close_end(&rig.theirs_in);
	assert_int_equal(rig_read(&rig, &len), IO_FAIL);
	assert_string_equal(rig.stdio.stream.error, "standard input: Connection reset by peer");
	assert_int_equal(rig_write(&rig, "lost"), IO_FAIL);
	close(listener);
	rig_finish(&rig);
}

static void a_reader_that_is_not_watched_is_not_gone(void **state)
{
	struct rig rig;
	(void)state;
	rig_pipes(&rig);
	ev_invoke(rig.loop, &rig.stdio.reader_watch, EV_ERROR | EV_READ | EV_WRITE);
	assert_int_equal(rig.times_gone, 0);
	rig_finish(&rig);
}

static void files_are_always_ready(void **state)
{
	char name[] = "/tmp/test_stdio_stream.XXXXXX";
	struct rig rig = {.theirs_in = -1, .theirs_out = -1};
	size_t len;
	(void)state;
	rig.out = mkstemp(name);
	rig.in = open(name, O_RDONLY);
	unlink(name);
	rig_start(&rig);
	assert_int_equal(rig_write(&rig, "text"), IO_DONE);
	assert_false(stdio_stream_input_is_closed(&rig.stdio));
	assert_int_equal(rig_read(&rig, &len), IO_DONE);
	assert_int_equal(len, 4);
	assert_int_equal(rig_read(&rig, &len), IO_EOF);
	assert_true(stdio_stream_input_is_exhausted(&rig.stdio));
	rig_finish(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pipe_without_reader_is_an_event_and_no_error),
		cmocka_unit_test(what_was_written_before_the_input_closed_is_still_read),
		cmocka_unit_test(the_reset_of_a_socket_pair_is_its_end),
		cmocka_unit_test(the_reset_of_a_tcp_socket_is_an_error),
		cmocka_unit_test(a_reader_that_is_not_watched_is_not_gone),
		cmocka_unit_test(files_are_always_ready),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
