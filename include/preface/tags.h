/*
 * The tags of an XML stream, as conversations of preface/preface.h speak it: RFC 6120 section 11 leaves neither comments
 * nor entities of its own.
 */
#ifndef GATEHOUSE_PREFACE_TAGS_H
#define GATEHOUSE_PREFACE_TAGS_H

#include "preface/preface.h"

/* Without its angle brackets; `name` has the "/" of an end tag or the "?" of a declaration. */
struct tag {
	struct span name, attributes;
	bool is_empty; /* "<name/>" */
};

/*
 * The tag that `heard` begins with, behind white space, and behind a text where `skips_text`: DONE, and `*used`
 * counts all of that. Otherwise MORE; NOT_MINE: no tag; REFUSE: a NUL.
 */
enum talk preface_take_tag(struct talk_state *state, struct span heard, bool skips_text,
	struct tag *tag, size_t *used);

bool preface_is_tag(const struct tag *tag, const char *name);

/* The value of an attribute; empty: it has none. */
struct span preface_attribute(const struct tag *tag, const char *name);

/* An attribute of XML with a space in front, unless the value would need to be quoted, or is empty or too long. */
void preface_say_attribute(struct buf *say, const char *name, struct span value);

#endif
