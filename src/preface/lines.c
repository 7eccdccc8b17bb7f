#include "preface/lines.h"

#include <strings.h>

enum talk preface_refused(struct talk_state *state, const char *error)
{
	state->error = error;
	return TALK_REFUSE;
}

bool preface_is_binary(struct span heard)
{
	uint8_t first = heard.data[0];
	return (first < ' ' || first > '~') && first != '\r' && first != '\n';
}

enum talk preface_take_line(
	struct talk_state *state, struct span heard, size_t max, struct span *line, size_t *used)
{
	const uint8_t *end = heard.len > 0 ? memchr(heard.data, '\n', heard.len) : NULL;
	size_t len = end ? (size_t)(end - heard.data) : heard.len;
	if (len >= max)
		return preface_refused(state, "a line is too long");
	if (len > 0 && memchr(heard.data, '\0', len))
		return preface_refused(state, "a line has a NUL");
	state->want = heard.len + 1;
	if (!end)
		return TALK_MORE;
	*used = len + 1;
	if (len > 0 && heard.data[len - 1] == '\r')
		len--;
	*line = span_of(heard.data, len);
	return TALK_DONE;
}

struct span preface_take_word(struct span *line)
{
	struct span word = span_of(line->data, 0);
	while (word.len < line->len && line->data[word.len] != ' ')
		word.len++;
	line->data += word.len;
	line->len -= word.len;
	while (line->len > 0 && line->data[0] == ' ') {
		line->data++;
		line->len--;
	}
	return word;
}

bool preface_is_word(struct span text, const char *word)
{
	return text.len == strlen(word) &&
		strncasecmp((const char *)text.data, word, text.len) == 0;
}

void preface_say_text(struct buf *say, const char *text)
{
	preface_say(say, text, strlen(text));
}
