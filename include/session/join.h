/*
 * What a session keeps while the conversation of a preface goes on behind TLS (preface/preface.h, `joined`):
 * bytes of both sides that are not used, bytes that are not sent, and the memory of the conversation. Made by
 * step `first_message` or `connect_upstream`, gone before the relay begins.
 */
#ifndef GATEHOUSE_SESSION_JOIN_H
#define GATEHOUSE_SESSION_JOIN_H

#include "session/cancel_keys.h"

#include <stddef.h>

struct join_side {
	struct buf heard; /* of this side, not used; on the heap */
	struct buf said;  /* for this side, not sent; on the heap */
	bool is_short;    /* what was heard is not enough */
};

struct join {
	struct talk_state state;
	union {
		max_align_t align;
		uint8_t bytes[PREFACE_MEMORY];
	} memory;
	struct join_side client, server;
	struct buf greeting; /* in the room behind it: what the client is yet to be greeted with */
	uint8_t greeting_room[PREFACE_SAY_MAX];
	struct cancel_target *target; /* of a client that cancels; NULL: it is none */
	bool is_done;                 /* what is left goes as it is */
	bool is_answered;             /* REFUSE: the conversation has said why */
};

struct join *join_create(void); /* NULL: no memory */
void join_destroy(struct join *join);

/* At least `room` bytes free behind what is in `buf`; false: no memory. */
bool join_reserve(struct buf *buf, size_t room);

#endif
