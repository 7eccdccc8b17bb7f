/* One direction, between real sockets: every byte, in order, at any speed, on every path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/pipes.h"
#include "net/plain_stream.h"
#include "net/pump.h"

#define BULK (3 * 1024 * 1024)

enum kind { TCP, UNIX };
enum path { SPLICE, COPY, NO_PIPES };

/*
 * ours -> [from] pump [to] -> theirs: what the test writes to `ours` is to be
 * read from `theirs`.
 */
struct rig {
	struct ev_loop *loop;
	struct loop_ctx ctx;
	struct plain_stream from_plain, to_plain;
	struct stream *from, *to;
	struct stream_ops opaque; /* plain, but for the descriptor that it hides */
	struct pump pump;
	int ours, theirs;
	struct rlimit limit;
};

/* In place of the C library's: from the `refuse_from`th call on the kernel refuses with `refusal`. */
static int refusal, refuse_from, splices;

ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len, unsigned flags)
{
	if (refusal && splices++ >= refuse_from) {
		errno = refusal;
		return -1;
	}
	return syscall(SYS_splice, in, in_at, out, out_at, len, flags);
}

static void make_pair(enum kind kind, int fds[2])
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof here;
	if (kind == UNIX) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		return;
	}
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

static int hidden_fd(const struct stream *stream)
{
	(void)stream;
	return -1;
}

static void forbid_descriptors(struct rig *rig)
{
	struct rlimit none = rig->limit;
	int fd = dup(0);
	close(fd);
	none.rlim_cur = (rlim_t)fd;
	setrlimit(RLIMIT_NOFILE, &none);
}

static void rig_open(struct rig *rig, enum kind kind, enum path path)
{
	int in[2], out[2];
	struct err err;
	*rig = (struct rig){.loop = ev_loop_new(0)};
	assert_true(loop_ctx_init(&rig->ctx, rig->loop, &err));
	make_pair(kind, in);
	make_pair(kind, out);
	rig->ours = in[0];
	rig->theirs = out[1];
	rig->from = plain_stream_init(&rig->from_plain, rig->loop, in[1]);
	rig->to = plain_stream_init(&rig->to_plain, rig->loop, out[0]);
	rig->opaque = *rig->from->ops;
	rig->opaque.raw_in = hidden_fd;
	if (path == COPY)
		rig->from->ops = &rig->opaque;
	getrlimit(RLIMIT_NOFILE, &rig->limit);
	if (path == NO_PIPES)
		forbid_descriptors(rig);
	pump_init(&rig->pump, rig->from, rig->to);
}

static void rig_close(struct rig *rig)
{
	setrlimit(RLIMIT_NOFILE, &rig->limit);
	pump_finish(&rig->pump, &rig->ctx);
	assert_int_equal(pipes_in_use(rig->ctx.pipes), 0);
	stream_destroy(rig->from);
	stream_destroy(rig->to);
	if (rig->ours >= 0)
		close(rig->ours);
	if (rig->theirs >= 0)
		close(rig->theirs);
	loop_ctx_finish(&rig->ctx);
	ev_loop_destroy(rig->loop);
}

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 2654435761u >> 13 ^ offset >> 16);
}

static size_t put(struct rig *rig, uint64_t *offset, size_t len)
{
	static uint8_t data[1 << 20];
	len = len < sizeof data ? len : sizeof data;
	for (size_t i = 0; i < len; i++)
		data[i] = byte_at(*offset + i);
	ssize_t n = send(rig->ours, data, len, MSG_NOSIGNAL);
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	*offset += (uint64_t)n;
	return (size_t)n;
}

/* -1: ended; otherwise how much. */
static ssize_t get(struct rig *rig, uint64_t *offset, size_t len)
{
	static uint8_t data[1 << 20];
	ssize_t n = recv(rig->theirs, data, len < sizeof data ? len : sizeof data, 0);
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	for (ssize_t i = 0; i < n; i++)
		if (data[i] != byte_at(*offset + (uint64_t)i))
			fail_msg("byte %llu is another", (unsigned long long)*offset + (unsigned)i);
	*offset += (uint64_t)n;
	return n == 0 ? -1 : n;
}

static size_t some(size_t most)
{
	return 1 + (size_t)rand() % most;
}

/* The test is writer, loop and reader in turn; chunks up to these sizes. */
static void carry(
	enum kind kind, enum path path, uint64_t total, size_t write_most, size_t read_most)
{
	struct rig rig;
	uint64_t written = 0, read = 0;
	bool ended = false;
	rig_open(&rig, kind, path);
	while (!ended) {
		if (written < total)
			put(&rig, &written, some(write_most) % (total - written + 1));
		if (written == total)
			shutdown(rig.ours, SHUT_WR);
		if (rig.pump.state == PUMP_NEEDS_INPUT || rig.pump.state == PUMP_NEEDS_OUTPUT)
			pump_run(&rig.pump, &rig.ctx);
		assert_true(rig.pump.state <= PUMP_ENDED);
		ended = get(&rig, &read, some(read_most)) < 0;
		assert_true(rig.pump.bytes <= written);
		assert_true(read <= rig.pump.bytes);
		if (ended)
			assert_int_equal(read, total);
	}
	assert_int_equal(rig.pump.state, PUMP_ENDED);
	assert_int_equal(rig.pump.bytes, total);
	assert_null(rig.pump.held.data);
	rig_close(&rig);
}

static void carry_everywhere(uint64_t total, size_t write_most, size_t read_most)
{
	for (enum kind kind = TCP; kind <= UNIX; kind++)
		for (enum path path = SPLICE; path <= NO_PIPES; path++)
			carry(kind, path, total, write_most, read_most);
}

static void test_nothing(void **state)
{
	(void)state;
	carry_everywhere(0, 1, 1);
}

static void test_one_byte_at_a_time(void **state)
{
	(void)state;
	carry_everywhere(3000, 1, 1);
}

static void test_random_chunks(void **state)
{
	(void)state;
	carry_everywhere(BULK, 200000, 200000);
	carry_everywhere(300000, 3000, 3000);
}

static void test_slow_reader(void **state)
{
	(void)state;
	carry_everywhere(BULK, 1 << 20, 5000);
}

static void test_slow_writer(void **state)
{
	(void)state;
	carry_everywhere(200000, 500, 1 << 20);
}

/* A kernel that has pipe2, and refuses splice: at once, or with bytes in the pipe (odd calls fill it). */
static void test_refused_splices_are_copies(void **state)
{
	static const int refusals[] = {ENOSYS, EINVAL, EPERM};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (refuse_from = 0; refuse_from < 9; refuse_from++) {
			refusal = refusals[i];
			splices = 0;
			carry(TCP, SPLICE, BULK, 200000, 200000);
			assert_int_equal(splices, refuse_from + 1); /* and it is not tried again */
			splices = 0;
			carry(UNIX, SPLICE, BULK, 1 << 20, 5000);
		}
	}
	refusal = 0;
}

/* A pump holds a pipe only while bytes wait in it. */
static void test_gives_the_pipe_back(void **state)
{
	struct rig rig;
	uint64_t written = 0, read = 0;
	(void)state;
	rig_open(&rig, TCP, SPLICE);
	for (int i = 0; i < 1000 && rig.pump.state == PUMP_NEEDS_INPUT; i++) {
		put(&rig, &written, 1 << 20);
		pump_run(&rig.pump, &rig.ctx);
	}
	assert_int_equal(rig.pump.state, PUMP_NEEDS_OUTPUT);
	assert_int_equal(pipes_in_use(rig.ctx.pipes), 1);
	assert_true(rig.pump.pipe->used > 0);
	while (read < written) {
		get(&rig, &read, 1 << 20);
		pump_run(&rig.pump, &rig.ctx);
	}
	assert_int_equal(rig.pump.state, PUMP_NEEDS_INPUT);
	assert_int_equal(pipes_in_use(rig.ctx.pipes), 0);
	rig_close(&rig);
}

static void test_little_is_copied(void **state)
{
	struct rig rig;
	uint64_t written = 0, read = 0;
	(void)state;
	rig_open(&rig, TCP, SPLICE);
	for (int i = 0; i < 100; i++) {
		put(&rig, &written, 1000);
		pump_run(&rig.pump, &rig.ctx);
		assert_null(rig.pump.held.data);
		get(&rig, &read, 1000);
	}
	assert_int_equal(pipes_trim(rig.ctx.pipes), 0); /* none was ever opened */
	rig_close(&rig);
}

/* The end waits for what is held; and so does the half-close for what is in the pipe. */
static void end_waits(enum path path)
{
	struct rig rig;
	uint64_t written = 0, read = 0;
	rig_open(&rig, TCP, path);
	for (int i = 0; i < 1000 && rig.pump.state == PUMP_NEEDS_INPUT; i++) {
		put(&rig, &written, 1 << 20);
		pump_run(&rig.pump, &rig.ctx);
	}
	assert_int_equal(rig.pump.state, PUMP_NEEDS_OUTPUT);
	shutdown(rig.ours, SHUT_WR);
	pump_run(&rig.pump, &rig.ctx);
	assert_int_equal(rig.pump.state, PUMP_NEEDS_OUTPUT);
	while (get(&rig, &read, 100000) >= 0)
		if (rig.pump.state != PUMP_ENDED)
			pump_run(&rig.pump, &rig.ctx);
	assert_int_equal(read, written);
	assert_int_equal(rig.pump.state, PUMP_ENDED);
	rig_close(&rig);
}

static void test_the_end_waits_for_the_bytes(void **state)
{
	(void)state;
	end_waits(SPLICE);
	end_waits(COPY);
	end_waits(NO_PIPES);
}

static void reset(int *fd)
{
	struct linger now = {1, 0};
	setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(*fd);
	*fd = -1;
}

static void test_a_reset_is_no_end(void **state)
{
	(void)state;
	for (enum path path = SPLICE; path <= NO_PIPES; path++) {
		struct rig rig;
		uint64_t written = 0, read = 0;
		rig_open(&rig, TCP, path);
		put(&rig, &written, 100000);
		for (int i = 0; i < 100 && read < written; i++) {
			pump_run(&rig.pump, &rig.ctx);
			get(&rig, &read, 1 << 20);
		}
		assert_int_equal(read, written);
		reset(&rig.ours);
		pump_run(&rig.pump, &rig.ctx);
		assert_int_equal(rig.pump.state, PUMP_INPUT_BROKEN);
		assert_string_equal(rig.from->error, "reset by peer");
		assert_int_equal(get(&rig, &read, 1), 0); /* not told so */
		rig_close(&rig);
	}
}

/* Last words: bytes that came before the reset did. */
static void test_bytes_before_a_reset_arrive(void **state)
{
	struct rig rig;
	uint64_t written = 0, read = 0;
	(void)state;
	rig_open(&rig, TCP, SPLICE);
	put(&rig, &written, 5000);
	reset(&rig.ours);
	for (int i = 0; i < 3 && rig.pump.state == PUMP_NEEDS_INPUT; i++)
		pump_run(&rig.pump, &rig.ctx);
	assert_int_equal(rig.pump.state, PUMP_INPUT_BROKEN);
	get(&rig, &read, 10000);
	assert_int_equal(read, written);
	rig_close(&rig);
}

static void test_output_that_is_gone(void **state)
{
	(void)state;
	for (enum path path = SPLICE; path <= NO_PIPES; path++) {
		struct rig rig;
		uint64_t written = 0;
		rig_open(&rig, TCP, path);
		reset(&rig.theirs);
		for (int i = 0; i < 100 && rig.pump.state == PUMP_NEEDS_INPUT; i++) {
			put(&rig, &written, 100000);
			pump_run(&rig.pump, &rig.ctx);
		}
		assert_int_equal(rig.pump.state, PUMP_OUTPUT_BROKEN);
		assert_string_equal(rig.to->error, "reset by peer");
		rig_close(&rig);
	}
}

static void test_output_that_goes_while_bytes_wait(void **state)
{
	(void)state;
	for (enum path path = SPLICE; path <= NO_PIPES; path++) {
		struct rig rig;
		uint64_t written = 0;
		rig_open(&rig, TCP, path);
		for (int i = 0; i < 1000 && rig.pump.state == PUMP_NEEDS_INPUT; i++) {
			put(&rig, &written, 1 << 20);
			pump_run(&rig.pump, &rig.ctx);
		}
		assert_int_equal(rig.pump.state, PUMP_NEEDS_OUTPUT);
		reset(&rig.theirs);
		pump_run(&rig.pump, &rig.ctx);
		assert_int_equal(rig.pump.state, PUMP_OUTPUT_BROKEN);
		rig_close(&rig);
	}
}

/* The other direction heard of a reset and took the error with it: recv says 0 then. */
static void test_an_end_after_an_error_is_none(void **state)
{
	(void)state;
	for (enum path path = SPLICE; path <= COPY; path++) {
		struct rig rig;
		uint64_t read = 0;
		rig_open(&rig, TCP, path);
		rig.from->error = "reset by peer";
		rig.pump.bulk = path == SPLICE;
		shutdown(rig.ours, SHUT_WR);
		pump_run(&rig.pump, &rig.ctx);
		assert_int_equal(rig.pump.state, PUMP_INPUT_BROKEN);
		assert_int_equal(get(&rig, &read, 1), 0);
		rig_close(&rig);
	}
}

/* Nobody will call for a FIN that closing says. */
static void test_the_last_direction_leaves_the_fin_to_the_close(void **state)
{
	struct rig rig;
	uint64_t written = 0, read = 0;
	(void)state;
	rig_open(&rig, TCP, SPLICE);
	rig.pump.is_last = true;
	put(&rig, &written, 1000);
	shutdown(rig.ours, SHUT_WR);
	for (int i = 0; i < 3 && rig.pump.state != PUMP_ENDED; i++)
		pump_run(&rig.pump, &rig.ctx);
	assert_int_equal(rig.pump.state, PUMP_ENDED);
	get(&rig, &read, 1000);
	assert_int_equal(read, 1000);
	assert_int_equal(get(&rig, &read, 1), 0);
	stream_destroy(rig.to);
	assert_int_equal(get(&rig, &read, 1), -1);
	rig.to = NULL;
	rig_close(&rig);
}

/* A stream that is no socket: full reads, then its end, of which poll would not tell. */
struct fake {
	struct stream stream;
	unsigned full_reads, ends;
};

static enum io fake_read(struct stream *stream, struct buf *buf)
{
	struct fake *fake = (struct fake *)stream;
	if (fake->full_reads == 0)
		return IO_EOF;
	fake->full_reads--;
	buf->end = buf->size;
	return IO_DONE;
}

static enum io fake_write(struct stream *stream, struct buf *buf)
{
	(void)stream;
	buf->start = buf->end;
	return IO_DONE;
}

static enum io fake_end(struct stream *stream, enum closing closing)
{
	(void)closing;
	((struct fake *)stream)->ends++;
	return IO_DONE;
}

static bool nothing_pending(const struct stream *stream)
{
	(void)stream;
	return false;
}

static const struct stream_ops fake_ops = {.read = fake_read,
	.write = fake_write,
	.end = fake_end,
	.pending = nothing_pending,
	.raw_in = hidden_fd,
	.raw_out = hidden_fd};

static void test_an_end_in_the_last_round_is_told_at_once(void **state)
{
	struct loop_ctx ctx;
	struct err err;
	struct ev_loop *loop = ev_loop_new(0);
	(void)state;
	assert_true(loop_ctx_init(&ctx, loop, &err));
	for (unsigned reads = 0; reads < 20; reads++) {
		struct fake from = {.stream = {.ops = &fake_ops}, .full_reads = reads};
		struct fake to = {.stream = {.ops = &fake_ops}};
		struct pump pump;
		pump_init(&pump, &from.stream, &to.stream);
		for (int turn = 0; turn < 10 && !pump.input_over; turn++) {
			ctx.turn_cost = 0;
			pump_run(&pump, &ctx);
		}
		assert_int_equal(pump.state, PUMP_ENDED);
		assert_int_equal(to.ends, 1);
		assert_int_equal(pump.bytes, (uint64_t)reads * LOOP_PLAIN_SIZE);
		pump_finish(&pump, &ctx);
	}
	loop_ctx_finish(&ctx);
	ev_loop_destroy(loop);
}

/* One that is busy lets the others have their turn. */
static void test_a_turn_is_bounded(void **state)
{
	struct loop_ctx ctx;
	struct err err;
	struct ev_loop *loop = ev_loop_new(0);
	struct fake from = {.stream = {.ops = &fake_ops}, .full_reads = 1000};
	struct fake to = {.stream = {.ops = &fake_ops}};
	struct pump pump;
	(void)state;
	assert_true(loop_ctx_init(&ctx, loop, &err));
	pump_init(&pump, &from.stream, &to.stream);
	pump_run(&pump, &ctx);
	assert_int_equal(pump.state, PUMP_NEEDS_INPUT);
	assert_in_range(pump.bytes, 1, 16 * LOOP_PLAIN_SIZE);
	pump_finish(&pump, &ctx);
	loop_ctx_finish(&ctx);
	ev_loop_destroy(loop);
}

#define SLOW_READERS 16
#define BUDGET       (128 * 1024)
#define LEAST        (4 * 1024)

/* Writes until the pump's output takes no more. */
static void fill(struct rig *rig, struct loop_ctx *ctx, uint64_t *written)
{
	while (rig->pump.state == PUMP_NEEDS_INPUT) {
		put(rig, written, BULK);
		pump_run(&rig->pump, ctx);
	}
	assert_int_equal(rig->pump.state, PUMP_NEEDS_OUTPUT);
}

/* Each holds what one read took; how much that is depends on what all of them hold. */
static void test_slow_readers_share_a_budget(void **state)
{
	static struct rig rigs[SLOW_READERS];
	uint64_t written[SLOW_READERS] = {0}, read[SLOW_READERS] = {0};
	(void)state;
	for (unsigned i = 0; i < SLOW_READERS; i++)
		rig_open(&rigs[i], UNIX, COPY);
	struct loop_ctx *ctx = &rigs[0].ctx;
	loop_ctx_limit_held(ctx, BUDGET);
	for (unsigned i = 0; i < SLOW_READERS; i++)
		fill(&rigs[i], ctx, &written[i]);
	assert_in_range(ctx->held, 1, BUDGET + SLOW_READERS * LEAST);
	for (unsigned i = 0; i < SLOW_READERS; i++)
		while (read[i] < written[i]) {
			get(&rigs[i], &read[i], BULK);
			pump_run(&rigs[i].pump, ctx);
		}
	assert_int_equal(ctx->held, 0);
	for (unsigned i = SLOW_READERS; i-- > 0;)
		rig_close(&rigs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_one_byte_at_a_time),
		cmocka_unit_test(test_random_chunks),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_slow_writer),
		cmocka_unit_test(test_refused_splices_are_copies),
		cmocka_unit_test(test_gives_the_pipe_back),
		cmocka_unit_test(test_little_is_copied),
		cmocka_unit_test(test_the_end_waits_for_the_bytes),
		cmocka_unit_test(test_a_reset_is_no_end),
		cmocka_unit_test(test_bytes_before_a_reset_arrive),
		cmocka_unit_test(test_output_that_is_gone),
		cmocka_unit_test(test_output_that_goes_while_bytes_wait),
		cmocka_unit_test(test_an_end_after_an_error_is_none),
		cmocka_unit_test(test_the_last_direction_leaves_the_fin_to_the_close),
		cmocka_unit_test(test_an_end_in_the_last_round_is_told_at_once),
		cmocka_unit_test(test_a_turn_is_bounded),
		cmocka_unit_test(test_slow_readers_share_a_budget),
	};
	srand(1);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
