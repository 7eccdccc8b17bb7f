/* The rules of preface/preface.h that a conversation keeps, as one function of a turn. */
#ifndef GATEHOUSE_TEST_TALK_RULES_H
#define GATEHOUSE_TEST_TALK_RULES_H

#include "preface/preface.h"

/* The first call has nothing. */
static inline bool talk_opens(const struct preface *preface, talk_fn *fn)
{
	return fn == preface->back || preface->speaks_first;
}

/* Another call follows. */
static inline bool talk_goes_on(enum talk verdict)
{
	return verdict == TALK_MORE || verdict == TALK_SAY;
}

static inline bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* What is wrong with a turn that heard `len` bytes; NULL: nothing. */
static inline const char *talk_breach(enum talk verdict, const struct talk_state *state, size_t len,
	size_t used, const struct buf *say)
{
	bool is_silent = used == 0 && buf_used(say) == 0;
	if (used > len)
		return "it uses more than it heard";
	if (say->start != 0 || say->end > say->size)
		return "it says more than there is room for";
	switch (verdict) {
	case TALK_MORE:
		if (!is_silent)
			return "MORE: it uses or says something";
		return state->want > len ? NULL : "MORE: it has what it wants";
	case TALK_NOT_MINE:
		return is_silent ? NULL : "NOT_MINE: it uses or says something";
	case TALK_SAY:
		return used > 0 || len == 0 ? NULL : "SAY: it uses nothing";
	case TALK_REFUSE:
		if (!state->error)
			return "REFUSE: without an error";
		return is_printable(state->error) ? NULL : "REFUSE: the error is not printable";
	case TALK_CANCEL:
		return used == len && buf_used(say) <= PREFACE_KEY_MAX ? NULL : "CANCEL: no key";
	case TALK_CONNECT:
		return "CONNECT: it is joined's alone";
	case TALK_DONE:
	case TALK_LEAVE:
		break;
	}
	return NULL;
}

/* What a turn of `joined` has said before. */
struct joined_before {
	size_t to_client, to_server;
	bool is_connected; /* it has said CONNECT */
};

static inline bool is_key_in(const struct joined_turn *turn, size_t before)
{
	const struct buf *said = &turn->to_client;
	return turn->key >= said->data + before && turn->key_len <= PREFACE_KEY_MAX &&
		turn->key + turn->key_len <= said->data + said->end;
}

/* What is wrong with a turn of `joined`; NULL: nothing. */
static inline const char *joined_breach(enum talk verdict, const struct talk_state *state,
	const struct joined_turn *turn, const struct joined_before *before)
{
	size_t len = turn->heard.len;
	bool is_heard = turn->to_client.end > before->to_client;
	bool is_passed = turn->to_server.end > before->to_server;
	bool is_silent = !is_heard && !is_passed;
	if (turn->used > len)
		return "it uses more than it heard";
	if (turn->to_client.end > turn->to_client.size ||
		turn->to_server.end > turn->to_server.size)
		return "it says more than there is room for";
	if (!before->is_connected && (is_passed && verdict != TALK_CANCEL))
		return "it says something to a server that is not there";
	if (turn->key &&
		((verdict != TALK_SAY && verdict != TALK_DONE) ||
			!is_key_in(turn, before->to_client)))
		return "its key is not what it says";
	switch (verdict) {
	case TALK_MORE:
		if (turn->used > 0 || !is_silent)
			return "MORE: it uses or says something";
		return state->want > len ? NULL : "MORE: it has what it wants";
	case TALK_CONNECT:
		return !before->is_connected && is_silent ? NULL : "CONNECT: again, or with words";
	case TALK_SAY:
		return turn->used > 0 || !is_silent ? NULL : "SAY: it uses and says nothing";
	case TALK_DONE:
		return before->is_connected && turn->used > 0 ? NULL : "DONE: without use";
	case TALK_REFUSE:
		if (!state->error)
			return "REFUSE: without an error";
		return is_printable(state->error) ? NULL : "REFUSE: the error is not printable";
	case TALK_CANCEL:
		if (before->is_connected || turn->used != len)
			return "CANCEL: too late, or not all is used";
		return turn->to_server.end - before->to_server <= PREFACE_KEY_MAX
			? NULL
			: "CANCEL: no key";
	case TALK_NOT_MINE:
	case TALK_LEAVE:
		break;
	}
	return "it is not a verdict of joined";
}

#endif
