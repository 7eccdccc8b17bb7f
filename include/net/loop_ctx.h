/*
 * What everything on one event loop shares: the loop, the pipes, and scratch memory that is used
 * within one callback and never across two. A lane belongs to one thread.
 *
 * The three scratch areas are apart because they are used at the same time: `plain` holds what a
 * pump moves (or the bytes that the sniffer peeked), `sealed_in` the records that a TLS stream is
 * about to open (or a hello joined from its records), `sealed_out` those it has just sealed.
 */
#ifndef GATEHOUSE_NET_LOOP_CTX_H
#define GATEHOUSE_NET_LOOP_CTX_H

#include "base/err.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANE_PLAIN_SIZE      (256 * 1024)
#define LANE_SEALED_IN_SIZE  (128 * 1024)
#define LANE_SEALED_OUT_SIZE (320 * 1024) /* LANE_PLAIN_SIZE in records, and a handshake flight */

struct pipes;

struct lane {
	struct ev_loop *loop;
	struct pipes *pipes;
	uint8_t *plain, *sealed_in, *sealed_out;
};

bool lane_init(struct lane *lane, struct ev_loop *loop, struct err *err);
void lane_finish(struct lane *lane);

#endif
