/*
 * POP3's STLS: the server greets, the client requests TLS, and nobody greets again (RFC 1939 sections 3 to 5;
 * RFC 2449 sections 4 and 5; RFC 2595 section 4). A line ends in CRLF; LF alone is taken for it.
 */
#include "preface/preface.h"

#include <strings.h>

#define LINE_MAX 512 /* RFC 2449 section 4: of an answer; a command has 255 */
/* Commands that a client may send without requesting TLS; the next one is the end. */
#define COMMANDS_MAX 9

/* `back`; `front` counts the commands. */
enum { PHASE_GREETING, PHASE_ANSWER };

static enum talk refuse_pop3(struct talk_state *state, const char *error)
{
	state->error = error;
	return TALK_REFUSE;
}

static void say_text(struct buf *say, const char *text)
{
	preface_say(say, text, strlen(text));
}

/* The line that `heard` begins with, without its end. */
static enum talk take_line(
	struct talk_state *state, struct span heard, struct span *line, size_t *used)
{
	const uint8_t *end = heard.len > 0 ? memchr(heard.data, '\n', heard.len) : NULL;
	size_t len = end ? (size_t)(end - heard.data) : heard.len;
	if (len >= LINE_MAX)
		return refuse_pop3(state, "a line is too long");
	state->want = heard.len + 1;
	if (!end)
		return TALK_MORE;
	*used = len + 1;
	if (len > 0 && heard.data[len - 1] == '\r')
		len--;
	*line = span_of(heard.data, len);
	return TALK_DONE;
}

static bool is_command(struct span line, const char *command)
{
	return line.len == strlen(command) &&
		strncasecmp((const char *)line.data, command, line.len) == 0;
}

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
	if (is_command(command, "STLS")) {
		say_text(say, "+OK Begin TLS negotiation\r\n");
		return TALK_DONE;
	}
	if (is_command(command, "QUIT")) {
		say_text(say, "+OK Bye\r\n");
		return TALK_LEAVE;
	}
	if (state->phase++ >= COMMANDS_MAX) {
		say_text(say, "-ERR Too many commands without TLS\r\n");
		return refuse_pop3(state, "the client does not request TLS");
	}
	if (is_command(command, "CAPA"))
		say_text(say, "+OK Capability list follows\r\nSTLS\r\n.\r\n");
	else if (is_command(command, "NOOP"))
		say_text(say, "+OK\r\n");
	else
		say_text(say, "-ERR Request TLS by STLS first\r\n");
	return TALK_SAY;
}

static enum talk pop3_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span command;
	if (heard.len == 0) {
		say_text(say, "+OK POP3 server ready, TLS is required\r\n");
		return TALK_SAY;
	}
	if ((heard.data[0] < ' ' || heard.data[0] > '~') && heard.data[0] != '\r' &&
		heard.data[0] != '\n')
		return TALK_NOT_MINE; /* a ClientHello, for one: its end of line would never come */
	enum talk talk = take_line(state, heard, &command, used);
	return talk == TALK_DONE ? obey(state, command, say) : talk;
}

/* The greeting is the server's only one: none comes within TLS. */
static enum talk pop3_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span line;
	enum talk talk = take_line(state, heard, &line, used);
	if (talk != TALK_DONE)
		return talk;
	bool is_greeting = state->phase == PHASE_GREETING;
	if (is_status(line, "-ERR"))
		return refuse_pop3(state,
			is_greeting ? "the server greets with an error"
				    : "the server declines STLS");
	if (!is_status(line, "+OK"))
		return refuse_pop3(state, "the server does not speak POP3");
	if (is_greeting && state->greeting)
		preface_say(state->greeting, heard.data, *used);
	if (!is_greeting || state->is_plain)
		return TALK_DONE;
	if (*used < heard.len)
		return refuse_pop3(state, "the server answers before it is asked");
	state->phase = PHASE_ANSWER;
	say_text(say, "STLS\r\n");
	return TALK_SAY;
}

static void pop3_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	(void)why;
	say_text(say, "-ERR ");
	say_text(say, words);
	say_text(say, "\r\n");
}

extern const struct preface pop3_preface;
const struct preface pop3_preface = {
	.name = "pop3",
	.title = "POP3",
	.is_starttls = true,
	.speaks_first = true,
	.front = pop3_front,
	.back = pop3_back,
	.refuse = pop3_refuse,
};
