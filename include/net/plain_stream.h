/* A stream that is the socket itself. */
#ifndef GATEHOUSE_NET_PLAIN_STREAM_H
#define GATEHOUSE_NET_PLAIN_STREAM_H

#include "net/stream.h"

/* In the caller's memory; the socket stays the caller's. */
void plain_stream_init(struct stream *stream, struct socket *socket);

#endif
