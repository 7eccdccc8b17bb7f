#include "tls/record_io.h"

#include <errno.h>
#include <openssl/ssl3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Reads from the socket in one turn: who only asks (key updates) is not listened to without end. */
#define REFILLS_MAX 4

void record_io_init(struct record_io *io, struct loop_ctx *ctx, int fd)
{
	*io = (struct record_io){.ctx = ctx, .fd = fd};
}

__attribute__((cold, noinline)) static void free_input(struct record_io *io)
{
	loop_ctx_release(io->ctx, io->in.size);
	free(io->in.data);
	io->in_on_heap = false;
}

__attribute__((cold, noinline)) static void free_output(struct record_io *io)
{
	loop_ctx_release(io->ctx, io->out.size);
	free(io->out.data);
	io->out = (struct buf){0};
}

void record_io_finish(struct record_io *io)
{
	if (io->in_on_heap)
		free_input(io);
	if (io->out.data)
		free_output(io);
}

void record_io_open(struct record_io *io)
{
	io->drained = false;
	io->refills = 0;
	io->reads = 0;
	io->reads_max = RECORD_IO_READS_MAX;
	io->gathered = 0;
}

/* In a busy turn what two records take at most: what is not opened would be copied to the heap. */
static size_t receive_size(const struct record_io *io)
{
	bool is_busy = io->reads_max == RECORD_IO_READS_MAX_BUSY;
	size_t size = is_busy ? (size_t)2 * SSL3_RT_MAX_ENCRYPTED_LENGTH : LOOP_RECORDS_IN_SIZE;
	return loop_ctx_read_size(io->ctx, size, SSL3_RT_MAX_ENCRYPTED_LENGTH);
}

/* A read that came back short emptied the socket: no second call is made to hear EAGAIN. */
static bool record_io_refill(struct record_io *io)
{
	if (io->in_on_heap)
		free_input(io);
	io->in = (struct buf){.data = io->ctx->records_in, .size = receive_size(io)};
	if (io->drained || io->eof || io->error || io->refills == REFILLS_MAX)
		return false;
	io->refills++;
	ssize_t n = recv(io->fd, io->in.data, io->in.size, 0);
	if (n > 0)
		io->in.end = (size_t)n;
	else if (n == 0)
		io->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		io->error = errno;
	io->drained = n < (ssize_t)io->in.size;
	io->ctx->turn_cost += (unsigned)io->in.end / LOOP_BYTES_PER_UNIT;
	return n > 0;
}

/* OpenSSL asks for the flags when a call failed, and only then. */
static int on_read(BIO *bio, char *out, size_t size, size_t *got)
{
	struct record_io *io = BIO_get_data(bio);
	if (io->error || io->reads >= io->reads_max ||
		(!record_io_has_input(io) && !record_io_refill(io))) {
		BIO_clear_retry_flags(bio);
		if (!io->error && (!io->eof || io->reads >= io->reads_max))
			BIO_set_retry_read(bio);
		return 0;
	}
	io->reads++;
	*got = buf_used(&io->in) < size ? buf_used(&io->in) : size;
	memcpy(out, io->in.data + io->in.start, *got);
	io->in.start += *got;
	return 1;
}

static bool keep_output(struct record_io *io, const void *data, size_t len)
{
	struct buf *out = &io->out;
	if (buf_room(out) < len && out->start > 0) {
		memmove(out->data, out->data + out->start, buf_used(out));
		out->end -= out->start;
		out->start = 0;
	}
	if (buf_room(out) < len) {
		size_t size = out->end + len > 2 * out->size ? out->end + len : 2 * out->size;
		uint8_t *data_now = realloc(out->data, size);
		if (!data_now)
			return false;
		loop_ctx_hold(io->ctx, size - out->size);
		out->data = data_now;
		out->size = size;
	}
	memcpy(out->data + out->end, data, len);
	out->end += len;
	return true;
}

/* Behind older output only the heap keeps the order; so it does for what the scratch has no room for. */
static int on_write(BIO *bio, const char *data, size_t len, size_t *taken)
{
	struct record_io *io = BIO_get_data(bio);
	if (!record_io_has_output(io) && len <= LOOP_RECORDS_OUT_SIZE - io->gathered) {
		memcpy(io->ctx->records_out + io->gathered, data, len);
		io->gathered += len;
	} else {
		size_t gathered = io->gathered;
		io->gathered = 0;
		if (!keep_output(io, io->ctx->records_out, gathered) ||
			!keep_output(io, data, len)) {
			io->error = ENOMEM;
			BIO_clear_retry_flags(bio);
			return 0;
		}
	}
	*taken = len;
	return 1;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
	const struct record_io *io;
	(void)number, (void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DUP:
		return 1;
	case BIO_CTRL_EOF:
		io = BIO_get_data(bio);
		return io->eof && !record_io_has_input(io);
	default:
		return 0;
	}
}

static BIO_METHOD *make_method(void)
{
	int index = BIO_get_new_index();
	BIO_METHOD *method =
		index > 0 ? BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "records") : NULL;
	if (!method)
		return NULL;
	BIO_meth_set_read_ex(method, on_read);
	BIO_meth_set_write_ex(method, on_write);
	BIO_meth_set_ctrl(method, on_control);
	return method;
}

/* Where there is no memory for it, the next connection tries again. */
static const BIO_METHOD *record_io_method(void)
{
	static BIO_METHOD *_Atomic method;
	BIO_METHOD *there = atomic_load(&method), *made;
	if (there || !(made = make_method()))
		return there;
	if (atomic_compare_exchange_strong(&method, &there, made))
		return made;
	BIO_meth_free(made);
	return there;
}

BIO *record_io_bio(struct record_io *io)
{
	const BIO_METHOD *method = record_io_method();
	BIO *bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, io);
	BIO_set_init(bio, 1);
	return bio;
}

static bool keep_input(struct record_io *io)
{
	if (io->in_on_heap)
		return true;
	size_t len = buf_used(&io->in);
	uint8_t *kept = len > 0 ? malloc(len) : NULL;
	if (len > 0 && !kept)
		return false;
	if (len > 0)
		memcpy(kept, io->in.data + io->in.start, len);
	io->in = (struct buf){.data = kept, .end = len, .size = len};
	io->in_on_heap = len > 0;
	if (len > 0)
		loop_ctx_hold(io->ctx, len);
	return true;
}

/* How much of it the kernel took; -1 with io->error. */
static ssize_t send_some(struct record_io *io, const uint8_t *data, size_t len)
{
	int flags = MSG_NOSIGNAL | (io->more_follows ? MSG_MORE : 0);
	ssize_t n = send(io->fd, data, len, flags);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	io->error = errno;
	return -1;
}

static bool send_kept(struct record_io *io)
{
	ssize_t n = send_some(io, io->out.data + io->out.start, buf_used(&io->out));
	if (n < 0)
		return false;
	io->out.start += (size_t)n;
	if (!record_io_has_output(io))
		free_output(io);
	return true;
}

static bool send_gathered(struct record_io *io)
{
	size_t len = io->gathered;
	ssize_t n = send_some(io, io->ctx->records_out, len);
	io->gathered = 0;
	if (n < 0)
		return false;
	if ((size_t)n == len || keep_output(io, io->ctx->records_out + n, len - (size_t)n))
		return true;
	io->error = ENOMEM;
	return false;
}

enum io record_io_close(struct record_io *io)
{
	io->ctx->turn_cost += io->reads;
	if (!keep_input(io))
		io->error = ENOMEM;
	if (!io->error && record_io_has_output(io))
		send_kept(io);
	if (!io->error && io->gathered > 0)
		send_gathered(io);
	if (io->error)
		return IO_FAIL;
	return record_io_has_output(io) ? IO_AGAIN : IO_DONE;
}
