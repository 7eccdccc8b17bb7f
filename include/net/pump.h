/*
 * One direction of a connection: bytes from a stream to a stream. Little is copied through the
 * loop context's scratch; much is spliced through a kernel pipe when both ends have a raw descriptor. A pump
 * holds memory or a pipe only while its output is blocked. It never passes truncation on as an end.
 */
#ifndef GATEHOUSE_NET_PUMP_H
#define GATEHOUSE_NET_PUMP_H

#include "net/loop_ctx.h"
#include "net/stream.h"

enum pump_state {
	PUMP_NEEDS_INPUT,
	PUMP_NEEDS_OUTPUT,
	PUMP_ENDED,         /* the input ended and the output was told so */
	PUMP_INPUT_BROKEN,  /* `from->error` says why */
	PUMP_OUTPUT_BROKEN, /* `to->error` says why */
};

struct pump {
	struct stream *from, *to;
	uint64_t bytes; /* delivered */
	enum pump_state state;
	bool input_over; /* nothing more will be read; what is held still goes out */
	bool is_last;    /* the other direction has ended: closing the socket will say the FIN */
	bool bulk;       /* the last read came back full */
	struct pipe *pipe;
	struct buf held; /* read and not yet taken; on the heap, NULL when empty */
};

void pump_init(struct pump *pump, struct stream *from, struct stream *to);
void pump_finish(struct pump *pump, struct loop_ctx *ctx);

/* Moves what can be moved now. The outcome is `state`. */
void pump_run(struct pump *pump, struct loop_ctx *ctx);

#endif
