/*
 * The way of TLS records between OpenSSL and a socket. Reading: one recv fills the loop context's scratch
 * and OpenSSL is served from it; what it leaves is kept on the heap until the next turn. Writing:
 * records gather in the loop context's scratch and leave with one send; what the kernel does not take is
 * kept on the heap. To OpenSSL writing always succeeds, so it never stands half-way through a record.
 *
 * A turn gives OpenSSL a bounded number of records, however small they are: what is left comes in the next,
 * and is pending until then.
 *
 * Every use is framed: record_io_open, calls of OpenSSL, record_io_close, which sends what gathered.
 */
#ifndef GATEHOUSE_TLS_RECORD_IO_H
#define GATEHOUSE_TLS_RECORD_IO_H

#include "net/loop_ctx.h"
#include "net/stream.h"

#include <openssl/bio.h>

/* Reads of OpenSSL in one turn: 64 records, which are a megabyte or 64 bytes; or two. */
#define RECORD_IO_READS_MAX      128
#define RECORD_IO_READS_MAX_BUSY 4

struct record_io {
	struct loop_ctx *ctx;
	int fd; /* of the transport; borrowed */
	struct buf
		in; /* received and not opened: on the heap between turns, else in the loop context */
	struct buf out;   /* sealed and not sent, on the heap */
	size_t gathered;  /* sealed in this turn, in the loop context */
	unsigned refills; /* in this turn */
	unsigned
		reads; /* of OpenSSL in this turn: two for each record, and what else costs as much */
	unsigned reads_max;
	bool in_on_heap, drained, eof, more_follows;
	int error; /* an errno of recv or send; then everything fails */
};

void record_io_init(struct record_io *io, struct loop_ctx *ctx, int fd);
void record_io_finish(struct record_io *io);

/* The BIO for SSL_set_bio, which takes it over. NULL: no memory. */
BIO *record_io_bio(struct record_io *io);

void record_io_open(struct record_io *io);

/* Where the turn of the loop is a busy one: this time two records at most. */
static inline void record_io_hurry(struct record_io *io)
{
	if (loop_ctx_is_busy(io->ctx))
		io->reads_max = RECORD_IO_READS_MAX_BUSY;
}

/* IO_DONE: all is with the kernel; IO_AGAIN: some waits for the socket to be writable; IO_FAIL. */
enum io record_io_close(struct record_io *io);

static inline bool record_io_has_input(const struct record_io *io)
{
	return buf_used(&io->in) > 0;
}

/*
 * Nothing received is left, and there is no reason to ask the socket: it had no more in this turn, or
 * what was worked off lay here from a turn before, and poll tells whether more has come since.
 */
static inline bool record_io_is_worked_off(const struct record_io *io)
{
	return (io->drained || io->refills == 0) && !record_io_has_input(io);
}

static inline bool record_io_has_output(const struct record_io *io)
{
	return buf_used(&io->out) > 0;
}

#endif
