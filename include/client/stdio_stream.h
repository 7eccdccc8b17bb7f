/*
 * Standard input and output, or any two descriptors, as one stream: two pipes, a socket pair, a
 * terminal, files. What others share is not changed: pipes and terminals are opened anew to be
 * non-blocking, sockets are asked call by call. Files, which epoll refuses, libev takes for ready
 * at all times, which they are.
 *
 * Ending the stream closes the output, or shuts a socket down. When the input is a terminal, that
 * ends the input too: nobody is left to read what is typed.
 */
#ifndef GATEHOUSE_CLIENT_STDIO_STREAM_H
#define GATEHOUSE_CLIENT_STDIO_STREAM_H

#include "net/stream.h"

enum stdio_kind { STDIO_FILE, STDIO_PIPE, STDIO_TERMINAL, STDIO_SOCKET };

struct stdio_end {
	ev_io io;
	enum stdio_kind kind;
	int flags; /* to be restored at the end, where they could only be changed for all; else -1
		    */
};

/* What the owner is told of the output: `on_lost`: a pipe has lost its reader, even while nothing
 * is to be written; `on_ending`: all has been written, and it is about to be closed. */
struct stdio_events {
	void (*on_lost)(void *owner);
	void (*on_ending)(void *owner);
	void *owner;
};

struct stdio_stream {
	struct stream stream;
	struct ev_loop *loop;
	struct stdio_end in, out;
	ev_io lost;
	struct stdio_events events; /* all NULL until stdio_stream_watch */
	bool input_over;
	size_t head_len;
	uint8_t head[32]; /* the first bytes that went out */
	char error_text[128];
};

/* In the caller's memory, until stream_destroy, which leaves the descriptors open. */
struct stream *stdio_stream_init(
	struct stdio_stream *stdio, struct ev_loop *loop, int in_fd, int out_fd);
void stdio_stream_watch(struct stdio_stream *stdio, const struct stdio_events *events);

#endif
