/*
 * IMAP's STARTTLS: the server greets, the client requests TLS, and nobody greets again (RFC 9051 sections 2.2,
 * 6.1, 6.2.1 and 7.1; RFC 3501; RFC 5530).
 */
#include "preface/lines.h"

#define LINE_MAX 2048
#define TAG_MAX  64
/* Commands that a client may send without requesting TLS; the next one is the end. */
#define COMMANDS_MAX 9
/* Lines of a server that are no answer to STARTTLS. */
#define UNTAGGED_MAX 9
#define OFFER        "IMAP4rev1 STARTTLS LOGINDISABLED"

/* `back`: behind it the lines before the answer are counted. `front` counts the commands. */
enum { PHASE_GREETING, PHASE_ANSWER };

static bool is_tag(struct span tag)
{
	for (size_t i = 0; i < tag.len; i++)
		if (tag.data[i] <= ' ' || tag.data[i] > '~' || strchr("(){%*\"\\+", tag.data[i]))
			return false;
	return tag.len > 0 && tag.len <= TAG_MAX;
}

static void say_tagged(struct buf *say, struct span tag, const char *text)
{
	preface_say(say, tag.data, tag.len);
	preface_say_text(say, text);
}

/* A command before TLS. */
static enum talk obey(struct talk_state *state, struct span line, struct buf *say)
{
	struct span tag = preface_take_word(&line);
	if (is_tag(tag) && preface_is_word(line, "STARTTLS")) {
		say_tagged(say, tag, " OK Begin TLS negotiation now\r\n");
		return TALK_DONE;
	}
	if (is_tag(tag) && preface_is_word(line, "LOGOUT")) {
		preface_say_text(say, "* BYE Logging out\r\n");
		say_tagged(say, tag, " OK Logout completed\r\n");
		return TALK_LEAVE;
	}
	if (state->phase++ >= COMMANDS_MAX) {
		preface_say_text(say, "* BYE Too many commands without TLS\r\n");
		return preface_refused(state, "the client does not request TLS");
	}
	if (!is_tag(tag) || line.len == 0) {
		preface_say_text(say, "* BAD A tag and a command are expected\r\n");
	} else if (preface_is_word(line, "CAPABILITY")) {
		preface_say_text(say, "* CAPABILITY " OFFER "\r\n");
		say_tagged(say, tag, " OK Capability completed\r\n");
	} else if (preface_is_word(line, "NOOP")) {
		say_tagged(say, tag, " OK Noop completed\r\n");
	} else {
		say_tagged(say, tag, " NO [PRIVACYREQUIRED] Request TLS by STARTTLS first\r\n");
	}
	return TALK_SAY;
}

static enum talk imap_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span line;
	if (heard.len == 0) {
		preface_say_text(
			say, "* OK [CAPABILITY " OFFER "] IMAP server ready, TLS is required\r\n");
		return TALK_SAY;
	}
	if (preface_is_binary(heard))
		return TALK_NOT_MINE;
	enum talk talk = preface_take_line(state, heard, LINE_MAX, &line, used);
	return talk == TALK_DONE ? obey(state, line, say) : talk;
}

/* Without the capabilities, which are those before TLS: no login, for one. */
static struct span without_capabilities(struct span text)
{
	static const char code[] = "[CAPABILITY ";
	size_t len = sizeof code - 1;
	if (text.len < len || !preface_is_word(span_of(text.data, len), code))
		return text;
	while (len < text.len && text.data[len - 1] != ']')
		len++;
	while (len < text.len && text.data[len] == ' ')
		len++;
	return span_of(text.data + len, text.len - len);
}

/* Behind the status there has to be a text; false: no room. */
static bool pass_greeting(struct buf *greeting, struct span text)
{
	static const char head[] = "* OK ";
	text = without_capabilities(text);
	if (text.len == 0)
		text = span_of_string("Ready");
	if (buf_room(greeting) < sizeof head - 1 + text.len + 2)
		return false;
	preface_say_text(greeting, head);
	preface_say(greeting, text.data, text.len);
	preface_say_text(greeting, "\r\n");
	return true;
}

static enum talk take_greeting(struct talk_state *state, struct span line, struct buf *say)
{
	struct span star = preface_take_word(&line), status = preface_take_word(&line);
	if (preface_is_word(star, "*") && preface_is_word(status, "BYE"))
		return preface_refused(state, "the server greets with an error");
	/* A state that its client knows nothing of, and STARTTLS is not for it. */
	if (preface_is_word(star, "*") && preface_is_word(status, "PREAUTH"))
		return preface_refused(state, "the server greets as if there had been a login");
	if (!preface_is_word(star, "*") || !preface_is_word(status, "OK"))
		return preface_refused(state, "the server does not speak IMAP");
	if (state->greeting && !pass_greeting(state->greeting, line))
		return preface_refused(state, "the greeting is too long");
	if (state->is_plain)
		return TALK_DONE;
	preface_say_text(say, "1 STARTTLS\r\n");
	state->phase = PHASE_ANSWER;
	return TALK_SAY;
}

static enum talk take_answer(struct talk_state *state, struct span line)
{
	struct span tag = preface_take_word(&line), status = preface_take_word(&line);
	if (preface_is_word(tag, "*") && !preface_is_word(status, "BYE")) {
		if (state->phase++ < PHASE_ANSWER + UNTAGGED_MAX)
			return TALK_SAY;
		return preface_refused(state, "the server does not answer STARTTLS");
	}
	if (preface_is_word(tag, "1") && preface_is_word(status, "OK"))
		return TALK_DONE;
	if (preface_is_word(tag, "1") || preface_is_word(tag, "*"))
		return preface_refused(state, "the server declines STARTTLS");
	return preface_refused(state, "the server does not speak IMAP");
}

/* The greeting is the server's only one: none comes within TLS. */
static enum talk imap_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span line;
	enum talk talk = preface_take_line(state, heard, LINE_MAX, &line, used);
	if (talk != TALK_DONE)
		return talk;
	if (state->phase != PHASE_GREETING)
		return take_answer(state, line);
	talk = take_greeting(state, line, say);
	if (talk == TALK_SAY && *used < heard.len) {
		say->end = 0;
		return preface_refused(state, "the server answers before it is asked");
	}
	return talk;
}

static void imap_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	(void)why;
	preface_say_text(say, "* BYE ");
	preface_say_text(say, words);
	preface_say_text(say, "\r\n");
}

extern const struct preface imap_preface;
const struct preface imap_preface = {
	.name = "imap",
	.title = "IMAP",
	.is_starttls = true,
	.speaks_first = true,
	.offers_starttls = true,
	.front = imap_front,
	.back = imap_back,
	.refuse = imap_refuse,
};
