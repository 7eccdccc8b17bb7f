/* A stream that is a connected socket, with the one watcher that the socket has for its life. */
#ifndef GATEHOUSE_NET_PLAIN_STREAM_H
#define GATEHOUSE_NET_PLAIN_STREAM_H

#include "net/stream.h"

struct plain_stream {
	struct stream stream;
	ev_io io;
	struct ev_loop *loop;
	int watched;   /* events */
	bool is_ended; /* our direction */
};

/*
 * In the caller's memory, which lives until the stream is destroyed. Takes `fd` over, which is
 * non-blocking, and connected or connecting (then it gets writable when it is, or has failed).
 */
struct stream *plain_stream_init(struct plain_stream *plain, struct ev_loop *loop, int fd);

#endif
