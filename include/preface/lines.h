/*
 * Protocols of lines, as conversations of preface/preface.h speak them. A line ends in CRLF; LF alone is taken
 * for it.
 */
#ifndef GATEHOUSE_PREFACE_LINES_H
#define GATEHOUSE_PREFACE_LINES_H

#include "preface/preface.h"

/* TALK_REFUSE, for this reason. */
enum talk preface_refused(struct talk_state *state, const char *error);

/* A byte that no line begins with, but a ClientHello does: its end of line would never come. */
bool preface_is_binary(struct span heard);

/*
 * The line that `heard` begins with, without its end: DONE, and `*used` counts its end, too. Otherwise MORE, or
 * REFUSE: `max` bytes or more, or a NUL.
 */
enum talk preface_take_line(
	struct talk_state *state, struct span heard, size_t max, struct span *line, size_t *used);

/* The word at the beginning of `*line`, up to a space, and the spaces behind it. */
struct span preface_take_word(struct span *line);

/* Upper and lower case are the same. */
bool preface_is_word(struct span text, const char *word);

void preface_say_text(struct buf *say, const char *text);

#endif
