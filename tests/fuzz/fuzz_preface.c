/*
 * Every conversation of the registry, as server and as client, called as the drivers call it, with bytes in
 * pieces: it keeps the rules of preface/preface.h, and comes to an end.
 */
#include "../unit/talk_rules.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void check(const char *breach)
{
	if (!breach)
		return;
	fprintf(stderr, "%s\n", breach);
	abort();
}

static enum talk take_turn(talk_fn *fn, struct talk_state *state, struct span heard, size_t *used)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	*used = 0;
	enum talk verdict = fn(state, heard, used, &say);
	check(talk_breach(verdict, state, heard.len, *used, &say));
	return verdict;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;
	return ab < c ? ab : c;
}

static void converse(
	const struct preface *preface, talk_fn *fn, const uint8_t *data, size_t len, size_t piece)
{
	struct talk_state state = {0};
	size_t there = 0, taken = 0, used, max = preface_heard_max(preface);
	enum talk verdict = TALK_MORE;
	if (talk_opens(preface, fn))
		verdict = take_turn(fn, &state, span_of(NULL, 0), &used);
	while (talk_goes_on(verdict)) {
		if (verdict == TALK_MORE || taken == there) {
			if (there == len || there - taken == max)
				return;
			there = smallest(there + piece, len, taken + max);
		}
		verdict = take_turn(fn, &state, span_of(data + taken, there - taken), &used);
		taken += used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte is the size of the pieces; 0: all at once. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	size_t piece = data[0] ? data[0] : size;
	for (size_t i = 0; preface_at(i); i++) {
		const struct preface *preface = preface_at(i);
		converse(preface, preface->front, data + 1, size - 1, piece);
		if (preface->back)
			converse(preface, preface->back, data + 1, size - 1, piece);
	}
	return 0;
}
