/*
 * Every conversation of the registry, as server and as client, called as the drivers call it, with bytes in
 * pieces: it keeps the rules of preface/preface.h, and comes to an end. So does what follows TLS.
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

struct joining {
	const struct preface *preface;
	struct talk_state state;
	struct span input;
	bool is_connected;
	max_align_t memory[PREFACE_MEMORY / sizeof(max_align_t)];
	uint8_t heard[2][PREFACE_JOIN_MAX]; /* of the client, of the server */
	size_t len[2];
};

static enum talk join_turn(struct joining *joining, bool is_server)
{
	static uint8_t said[2][PREFACE_JOIN_MAX + PREFACE_SAY_MAX];
	static const struct joined_before nothing, connected = {.is_connected = true};
	size_t len = joining->len[is_server], room = len + PREFACE_SAY_MAX;
	struct joined_turn turn = {.is_server = is_server,
		.heard = span_of(joining->heard[is_server], len),
		.to_client = {.data = said[0], .size = room},
		.to_server = {.data = said[1], .size = room}};
	enum talk verdict = joining->preface->joined(&joining->state, &turn);
	check(joined_breach(
		verdict, &joining->state, &turn, joining->is_connected ? &connected : &nothing));
	joining->len[is_server] -= turn.used;
	memmove(joining->heard[is_server], joining->heard[is_server] + turn.used,
		joining->len[is_server]);
	return verdict;
}

/* The server that is connected to may have a part of the memory, and greet. */
static void connect_server(struct joining *joining)
{
	struct talk_state state = {.memory = joining->memory};
	size_t used;
	joining->is_connected = true;
	if (!joining->preface->back || joining->input.len == 0)
		return;
	take_turn(joining->preface->back, &state, span_of(NULL, 0), &used);
	take_turn(joining->preface->back, &state, joining->input, &used);
}

/* A byte says whose the next bytes are, and how many; false: there are no more, or too many. */
static bool join_read(struct joining *joining, bool *is_server)
{
	struct span bytes;
	unsigned control;
	if (!span_take_u8(&joining->input, &control))
		return false;
	*is_server = joining->is_connected && (control & 1);
	size_t len = smallest(control / 2 + 1, joining->input.len, PREFACE_JOIN_MAX);
	size_t *there = &joining->len[*is_server];
	if (*there + len > PREFACE_JOIN_MAX || !span_take(&joining->input, len, &bytes) || len == 0)
		return false;
	memcpy(joining->heard[*is_server] + *there, bytes.data, len);
	*there += len;
	return true;
}

static void join(const struct preface *preface, const uint8_t *data, size_t len)
{
	static struct joining joining;
	bool is_server;
	joining = (struct joining){.preface = preface, .input = span_of(data, len)};
	joining.state.memory = joining.memory;
	joining.state.is_private = len % 2;
	while (join_read(&joining, &is_server)) {
		enum talk verdict = TALK_SAY;
		while (verdict == TALK_SAY && joining.len[is_server] > 0) {
			verdict = join_turn(&joining, is_server);
			if (verdict == TALK_CONNECT) {
				connect_server(&joining);
				verdict = TALK_SAY;
			}
		}
		if (!talk_goes_on(verdict))
			return;
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
		if (preface->joined)
			join(preface, data, size);
	}
	return 0;
}
