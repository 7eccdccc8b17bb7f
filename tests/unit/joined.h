/*
 * Drives what a preface says behind TLS (`joined`), as session/steps/join does, and asserts that it keeps the
 * rules of preface/preface.h. To be included behind cmocka.h.
 */
#ifndef GATEHOUSE_TEST_JOINED_H
#define GATEHOUSE_TEST_JOINED_H

#include "talk_rules.h"

struct joined {
	struct talk_state state;
	bool is_connected;
	max_align_t memory[PREFACE_MEMORY / sizeof(max_align_t)];
	uint8_t heard[2][20000], said[2][32768]; /* 0: of and for the client, 1: the server */
	size_t pending[2], said_len[2];
	uint8_t key[PREFACE_KEY_MAX];
	size_t key_len;
};

static inline enum talk join_turn_of(
	const struct preface *preface, struct joined *joined, bool is_server)
{
	struct joined_before before = {
		joined->said_len[0], joined->said_len[1], joined->is_connected};
	size_t room = joined->pending[is_server] + PREFACE_SAY_MAX;
	struct joined_turn turn = {.is_server = is_server,
		.heard = span_of(joined->heard[is_server], joined->pending[is_server]),
		.to_client = {joined->said[0], 0, before.to_client, before.to_client + room},
		.to_server = {joined->said[1], 0, before.to_server, before.to_server + room}};
	joined->state.memory = joined->memory;
	enum talk verdict = preface->joined(&joined->state, &turn);
	const char *breach = joined_breach(verdict, &joined->state, &turn, &before);
	assert_string_equal(breach ? breach : "", "");
	if (turn.key) {
		memcpy(joined->key, turn.key, turn.key_len);
		memset(turn.key, '#', turn.key_len);
		joined->key_len = turn.key_len;
	}
	joined->is_connected |= verdict == TALK_CONNECT;
	joined->said_len[0] = turn.to_client.end;
	joined->said_len[1] = turn.to_server.end;
	joined->pending[is_server] -= turn.used;
	memmove(joined->heard[is_server], joined->heard[is_server] + turn.used,
		joined->pending[is_server]);
	return verdict;
}

/* As many turns as these bytes, which come at once, are good for. */
static inline enum talk join_hear_of(const struct preface *preface, struct joined *joined,
	bool is_server, const void *data, size_t len)
{
	enum talk verdict = TALK_MORE;
	memcpy(joined->heard[is_server] + joined->pending[is_server], data, len);
	joined->pending[is_server] += len;
	while (joined->pending[is_server] > 0) {
		verdict = join_turn_of(preface, joined, is_server);
		if (verdict != TALK_SAY)
			break;
	}
	return verdict;
}

#endif
