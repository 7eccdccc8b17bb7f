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

#endif
