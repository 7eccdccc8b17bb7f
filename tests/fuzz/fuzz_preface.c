/* Every conversation of the registry, as server and as client, fed in pieces: no byte is read twice or beyond. */
#include "preface/preface.h"

#include <stdint.h>
#include <stdlib.h>

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* The pieces end where the input says: its first byte is their size. */
static void converse(talk_fn *fn, const uint8_t *data, size_t len, size_t piece)
{
	struct talk_state state = {0};
	uint8_t room[PREFACE_SAY_MAX];
	size_t there = 0, taken = 0;
	for (unsigned turns = 0; turns < 1000; turns++) {
		struct buf say = {.data = room, .size = sizeof room};
		size_t used = 0;
		enum talk talk = fn(&state, span_of(data + taken, there - taken), &used, &say);
		check(used <= there - taken);
		check(say.end <= say.size);
		check(talk != TALK_REFUSE || state.error);
		check(talk != TALK_NOT_MINE || used == 0);
		taken += used;
		if (talk != TALK_MORE && talk != TALK_SAY)
			return;
		if (there == len && (talk == TALK_MORE || used == 0))
			return;
		there = there + piece < len ? there + piece : len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	size_t piece = data[0] ? data[0] : size;
	for (size_t i = 0; preface_at(i); i++) {
		const struct preface *preface = preface_at(i);
		converse(preface->front, data + 1, size - 1, piece);
		if (preface->back)
			converse(preface->back, data + 1, size - 1, piece);
	}
	return 0;
}
