/*
 * TLS as a stream over a stream that has a descriptor to read from and one to write to. Records are read
 * and sent in batches: one recv opens many, one send carries many. Nothing but OpenSSL's own state is kept
 * for a connection at rest.
 *
 * For tls_accept and tls_connect, which make such streams, and for those who look into one.
 */
#ifndef GATEHOUSE_TLS_TLS_STREAM_H
#define GATEHOUSE_TLS_TLS_STREAM_H

#include "tls/record_io.h"
#include "tls/tls_conn.h"

struct tls_stream {
	struct stream stream;
	struct stream *lower; /* the transport; owned */
	struct record_io io;
	struct tls_conn conn;
	int watched;         /* what the driver waits for */
	enum io input_ended; /* IO_DONE while it has not */
	unsigned
		controls; /* messages of the peer that are no data, less those that data has earned */
	size_t payload;   /* of the peer, since the last was earned */
	bool is_secured; /* the handshake was done: OpenSSL forgets that when it fails later */
	bool is_failed, is_close_sent;
	bool has_counted_record; /* its first message is paid for */
	bool is_record_open;     /* OpenSSL holds bytes of a record that it was not asked for yet */
	int type_of_types;       /* OpenSSL's word for what says whether a record is data */
	int reason;              /* OpenSSL's, of the failure; 0: none, or it came from elsewhere */
};

static inline struct tls_stream *tls_stream_of(const struct stream *stream)
{
	return (struct tls_stream *)stream; /* its first member */
}

/*
 * Takes `ssl` over, which may be NULL, and `lower`, whose driver becomes the new stream's. NULL with `err`
 * when there is no memory; then `lower` is the caller's as before.
 */
struct tls_stream *tls_stream_create(
	struct loop_ctx *ctx, struct stream *lower, SSL *ssl, struct err *err);

#endif
