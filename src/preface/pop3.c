/*
 * POP3's STLS: the server greets, the client requests TLS, and nobody greets again (RFC 1939 sections 3 to 5;
 * RFC 2449 sections 4 and 5; RFC 2595 section 4).
 */
#include "preface/lines.h"

#define LINE_MAX 512 /* RFC 2449 section 4: of an answer; a command has 255 */
/* Commands that a client may send without requesting TLS; the next one is the end. */
#define COMMANDS_MAX 9

/* `back`; `front` counts the commands. */
enum { PHASE_GREETING, PHASE_ANSWER };

/* "+OK" or "-ERR", alone or before a text. */
static bool is_status(struct span line, const char *status)
{
	size_t len = strlen(status);
	return line.len >= len && memcmp(line.data, status, len) == 0 &&
		(line.len == len || line.data[len] == ' ');
}

/* A command before TLS. */
static enum talk obey(struct talk_state *state, struct span command, struct buf *say)
{
	if (preface_is_word(command, "STLS")) {
		preface_say_text(say, "+OK Begin TLS negotiation\r\n");
		return TALK_DONE;
	}
	if (preface_is_word(command, "QUIT")) {
		preface_say_text(say, "+OK Bye\r\n");
		return TALK_LEAVE;
	}
	if (state->phase++ >= COMMANDS_MAX) {
		preface_say_text(say, "-ERR Too many commands without TLS\r\n");
		return preface_refused(state, "the client does not request TLS");
	}
	if (preface_is_word(command, "CAPA"))
		preface_say_text(say, "+OK Capability list follows\r\nSTLS\r\n.\r\n");
	else if (preface_is_word(command, "NOOP"))
		preface_say_text(say, "+OK\r\n");
	else
		preface_say_text(say, "-ERR Request TLS by STLS first\r\n");
	return TALK_SAY;
}

static enum talk pop3_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span command;
	if (heard.len == 0) {
		preface_say_text(say, "+OK POP3 server ready, TLS is required\r\n");
		return TALK_SAY;
	}
	if (preface_is_binary(heard))
		return TALK_NOT_MINE;
	enum talk talk = preface_take_line(state, heard, LINE_MAX, &command, used);
	return talk == TALK_DONE ? obey(state, command, say) : talk;
}

/* The greeting is the server's only one: none comes within TLS. */
static enum talk pop3_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span line;
	enum talk talk = preface_take_line(state, heard, LINE_MAX, &line, used);
	if (talk != TALK_DONE)
		return talk;
	bool is_greeting = state->phase == PHASE_GREETING;
	if (is_status(line, "-ERR"))
		return preface_refused(state,
			is_greeting ? "the server greets with an error"
				    : "the server declines STLS");
	if (!is_status(line, "+OK"))
		return preface_refused(state, "the server does not speak POP3");
	if (is_greeting && state->greeting)
		preface_say(state->greeting, heard.data, *used);
	if (!is_greeting || state->is_plain)
		return TALK_DONE;
	if (*used < heard.len)
		return preface_refused(state, "the server answers before it is asked");
	state->phase = PHASE_ANSWER;
	preface_say_text(say, "STLS\r\n");
	return TALK_SAY;
}

static void pop3_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	(void)why;
	preface_say_text(say, "-ERR ");
	preface_say_text(say, words);
	preface_say_text(say, "\r\n");
}

extern const struct preface pop3_preface;
const struct preface pop3_preface = {
	.name = "pop3",
	.title = "POP3",
	.is_starttls = true,
	.speaks_first = true,
	.offers_starttls = true,
	.front = pop3_front,
	.back = pop3_back,
	.refuse = pop3_refuse,
};
