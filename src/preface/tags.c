#include "preface/tags.h"

#include "preface/lines.h"

#define NAME_MAX 255

static bool is_space(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* To the ">" that is not within quotes; `len` where there is none. */
static size_t find_end(const uint8_t *data, size_t len)
{
	uint8_t quote = 0;
	for (size_t i = 0; i < len; i++) {
		if (quote)
			quote = data[i] == quote ? 0 : quote;
		else if (data[i] == '\'' || data[i] == '"')
			quote = data[i];
		else if (data[i] == '>')
			return i;
	}
	return len;
}

static void split_tag(struct span inside, struct tag *tag)
{
	size_t len = 0;
	tag->is_empty = inside.len > 0 && inside.data[inside.len - 1] == '/';
	inside.len -= tag->is_empty;
	while (len < inside.len && !is_space(inside.data[len]))
		len++;
	tag->name = span_of(inside.data, len);
	tag->attributes = span_of(inside.data + len, inside.len - len);
}

enum talk preface_take_tag(
	struct talk_state *state, struct span heard, bool skips_text, struct tag *tag, size_t *used)
{
	size_t start = 0;
	while (start < heard.len && heard.data[start] != '<' &&
		(skips_text || is_space(heard.data[start])))
		start++;
	state->want = heard.len + 1;
	if (start == heard.len)
		return TALK_MORE;
	if (heard.data[start] != '<')
		return TALK_NOT_MINE;
	size_t len = find_end(heard.data + start, heard.len - start);
	if (memchr(heard.data + start, '\0', len))
		return preface_refused(state, "a tag has a NUL");
	if (start + len == heard.len)
		return TALK_MORE;
	split_tag(span_of(heard.data + start + 1, len - 1), tag);
	*used = start + len + 1;
	return TALK_DONE;
}

bool preface_is_tag(const struct tag *tag, const char *name)
{
	return span_equal(tag->name, span_of_string(name));
}

/* The next one of them, which `*cursor` passes; false: there is none. */
static bool take_attribute(struct span *cursor, struct span *name, struct span *value)
{
	const uint8_t *at = cursor->data, *end = at + cursor->len;
	while (at < end && is_space(*at))
		at++;
	*name = span_of(at, 0);
	for (; at < end && *at != '=' && !is_space(*at); at++)
		name->len++;
	while (at < end && (is_space(*at) || *at == '='))
		at++;
	if (at == end || (*at != '\'' && *at != '"'))
		return false;
	const uint8_t *close = memchr(at + 1, *at, (size_t)(end - at - 1));
	if (!close)
		return false;
	*value = span_of(at + 1, (size_t)(close - at - 1));
	*cursor = span_of(close + 1, (size_t)(end - close - 1));
	return true;
}

struct span preface_attribute(const struct tag *tag, const char *name)
{
	struct span cursor = tag->attributes, found, value;
	while (take_attribute(&cursor, &found, &value))
		if (span_equal(found, span_of_string(name)))
			return value;
	return span_of(cursor.data, 0);
}

/* What needs no quoting: a domain, for one. */
static bool is_name(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("<>&'\"", text.data[i]))
			return false;
	return text.len > 0 && text.len <= NAME_MAX;
}

void preface_say_attribute(struct buf *say, const char *name, struct span value)
{
	if (!is_name(value))
		return;
	preface_say(say, " ", 1);
	preface_say(say, name, strlen(name));
	preface_say(say, "='", 2);
	preface_say(say, value.data, value.len);
	preface_say(say, "'", 1);
}
