/*
 * Standard input and output, or any two descriptors, as one stream: two pipes, a socket pair, a
 * terminal, files. The file status flags that other processes share stay as they are: pipes and
 * terminals are opened a second time to be non-blocking, sockets get MSG_DONTWAIT in each call.
 * epoll refuses regular files; libev treats them as always ready, which they are.
 *
 * A reader of the output that closes it is no error of this stream: what is written from then on is
 * discarded, and the owner decides. Ending the stream closes the output, or shuts a socket down. When
 * the input is a terminal, that ends the input too: nothing displays an answer any more.
 */
#ifndef GATEHOUSE_CLIENT_STDIO_STREAM_H
#define GATEHOUSE_CLIENT_STDIO_STREAM_H

#include "net/stream.h"

enum stdio_kind {
	STDIO_FILE,
	STDIO_PIPE,
	STDIO_TERMINAL,
	STDIO_UNIX_SOCKET,
	STDIO_SOCKET, /* of another family: a reset means lost bytes there, and is an error */
};

struct stdio_end {
	ev_io io;
	enum stdio_kind kind;
	int flags; /* to restore at the end, where they could only be changed for all; else -1 */
};

/* Events of the output. `on_reader_gone`: its reader has closed it; for a pipe at once, else when
 * something is written; it may come again. `on_ending`: all is written, and it is closed next. */
struct stdio_events {
	void (*on_reader_gone)(void *owner);
	void (*on_ending)(void *owner);
	void *owner;
};

struct stdio_stream {
	struct stream stream;
	struct ev_loop *loop;
	struct stdio_end in, out;
	ev_io reader_watch;
	struct stdio_events events; /* all NULL until stdio_stream_watch */
	bool input_over;
	uint64_t bytes_lost; /* discarded, because the reader of the output is gone */
	size_t head_len;
	uint8_t head[32]; /* the first bytes of the output */
	char error_text[128];
};

/* In the caller's memory, until stream_destroy; the descriptors stay open, and the caller's. */
struct stream *stdio_stream_init(
	struct stdio_stream *stdio, struct ev_loop *loop, int in_fd, int out_fd);

/* Must be called before the stream is written to. */
void stdio_stream_watch(struct stdio_stream *stdio, const struct stdio_events *events);

/* Can the writer of the input add nothing more? What it wrote before may still be unread. */
bool stdio_stream_input_is_closed(const struct stdio_stream *stdio);

/* The same, and all that it wrote has been read. */
bool stdio_stream_input_is_exhausted(const struct stdio_stream *stdio);

#endif
