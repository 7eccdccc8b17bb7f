/*
 * Drives one conversation of a preface as the drivers do, and asserts that it keeps the rules of
 * preface/preface.h. To be included behind cmocka.h.
 */
#ifndef GATEHOUSE_TEST_CONVERSATION_H
#define GATEHOUSE_TEST_CONVERSATION_H

#include "talk_rules.h"

struct conversation {
	talk_fn *fn;
	struct talk_state state;
	enum talk verdict; /* of the last turn; MORE: there was none */
	uint8_t heard[4096], said[4096];
	size_t heard_len, said_len;
	size_t pending; /* of `heard`, at its end: what is not used */
};

static inline enum talk conversation_turn(struct conversation *conversation)
{
	uint8_t room[PREFACE_SAY_MAX];
	struct buf say = {.data = room, .size = sizeof room};
	size_t used = 0, pending = conversation->pending;
	const uint8_t *data = conversation->heard + conversation->heard_len - pending;
	conversation->verdict =
		conversation->fn(&conversation->state, span_of(data, pending), &used, &say);
	const char *breach =
		talk_breach(conversation->verdict, &conversation->state, pending, used, &say);
	assert_string_equal(breach ? breach : "", "");
	conversation->pending -= used;
	assert_true(conversation->said_len + buf_used(&say) <= sizeof conversation->said);
	memcpy(conversation->said + conversation->said_len, say.data, buf_used(&say));
	conversation->said_len += buf_used(&say);
	return conversation->verdict;
}

/* `fn`: the front or the back of this preface. */
static inline struct conversation begin(const struct preface *preface, talk_fn *fn)
{
	struct conversation conversation = {.fn = fn, .verdict = TALK_MORE};
	if (talk_opens(preface, fn))
		conversation_turn(&conversation);
	return conversation;
}

/* As many turns as these bytes, which come at once, are good for. */
static inline enum talk hear(struct conversation *conversation, const void *data, size_t len)
{
	assert_true(talk_goes_on(conversation->verdict));
	assert_true(conversation->heard_len + len <= sizeof conversation->heard);
	memcpy(conversation->heard + conversation->heard_len, data, len);
	conversation->heard_len += len;
	conversation->pending += len;
	if (len == 0)
		return conversation->verdict;
	do
		conversation_turn(conversation);
	while (conversation->verdict == TALK_SAY && conversation->pending > 0);
	return conversation->verdict;
}

/* All that it has said since the last call of this. */
static inline void assert_said(struct conversation *conversation, const void *data, size_t len)
{
	assert_int_equal(conversation->said_len, len);
	assert_memory_equal(conversation->said, data, len);
	conversation->said_len = 0;
}

#define assert_said_text(conversation, text) assert_said(conversation, text, strlen(text))

/* One side's part, and what it gets for it; heard "" stands for the beginning. */
struct exchange {
	const char *heard;
	size_t heard_len;
	const char *said;
	size_t said_len;
};

#define EXCHANGE(heard, said)                                                                      \
	{                                                                                          \
		heard, sizeof(heard) - 1, said, sizeof(said) - 1                                   \
	}

/* In two pieces; the first alone does not end it. */
static inline void hear_in_halves(
	struct conversation *conversation, const struct exchange *exchange, size_t split)
{
	hear(conversation, exchange->heard, split);
	if (split == exchange->heard_len)
		return;
	assert_true(talk_goes_on(conversation->verdict));
	hear(conversation, exchange->heard + split, exchange->heard_len - split);
}

/* Each exchange in two pieces, at each of its split points; the last one leads to DONE. */
static inline void assert_talks_at_any_split(
	const struct preface *preface, talk_fn *fn, const struct exchange *exchanges, size_t count)
{
	for (size_t halved = 0; halved < count; halved++)
		for (size_t split = 0; split <= exchanges[halved].heard_len; split++) {
			struct conversation conversation = begin(preface, fn);
			for (size_t i = 0; i < count; i++) {
				const struct exchange *exchange = &exchanges[i];
				hear_in_halves(&conversation, exchange, i == halved ? split : 0);
				assert_said(&conversation, exchange->said, exchange->said_len);
				assert_int_equal(conversation.pending, 0);
				bool is_last = i + 1 == count;
				assert_int_equal(conversation.verdict == TALK_DONE, is_last);
			}
		}
}

#endif
