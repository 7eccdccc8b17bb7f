/*
 * SMTP's STARTTLS: the server greets, the client requests TLS, begins anew with EHLO, and nobody greets again
 * (RFC 5321 sections 3.1, 4.1 to 4.3 and 4.5.3.1; RFC 3207).
 */
#include "preface/lines.h"

#define LINE_MAX 1024 /* RFC 5321: 512, but servers with longer replies exist */
/* Commands that a client may send without requesting TLS; the next one is the end. */
#define COMMANDS_MAX 9

/* `back`; `front` counts the commands. */
enum { PHASE_GREETING, PHASE_EHLO, PHASE_ANSWER };

struct reply {
	unsigned code;
	struct span lines;
	bool has_starttls; /* as a line of it */
};

static void say_reply(struct buf *say, const char *code, const struct talk_state *state)
{
	preface_say_text(say, code);
	preface_say_text(say, state->host ? state->host : "gatehouse");
}

/* EHLO has what any server can hold to: STARTTLS alone. */
static enum talk obey(struct talk_state *state, struct span line, struct buf *say)
{
	struct span argument = line, command = preface_take_word(&argument);
	bool is_starttls = preface_is_word(command, "STARTTLS");
	if (is_starttls && argument.len == 0) {
		preface_say_text(say, "220 Ready to start TLS\r\n");
		return TALK_DONE;
	}
	if (preface_is_word(command, "QUIT")) {
		preface_say_text(say, "221 Bye\r\n");
		return TALK_LEAVE;
	}
	if (state->phase++ >= COMMANDS_MAX) {
		preface_say_text(say, "421 Too many commands without TLS\r\n");
		return preface_refused(state, "the client does not request TLS");
	}
	if (is_starttls) {
		preface_say_text(say, "501 STARTTLS has no parameters\r\n");
	} else if (preface_is_word(command, "EHLO")) {
		say_reply(say, "250-", state);
		preface_say_text(say, "\r\n250 STARTTLS\r\n");
	} else if (preface_is_word(command, "HELO")) {
		say_reply(say, "250 ", state);
		preface_say_text(say, "\r\n");
	} else if (preface_is_word(command, "NOOP")) {
		preface_say_text(say, "250 OK\r\n");
	} else {
		preface_say_text(say, "530 Must issue a STARTTLS command first\r\n");
	}
	return TALK_SAY;
}

static enum talk smtp_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct span line;
	if (heard.len == 0) {
		say_reply(say, "220 ", state);
		preface_say_text(say, " ESMTP\r\n");
		return TALK_SAY;
	}
	if (preface_is_binary(heard))
		return TALK_NOT_MINE;
	enum talk talk = preface_take_line(state, heard, LINE_MAX, &line, used);
	return talk == TALK_DONE ? obey(state, line, say) : talk;
}

/* "250-text", or "250 text" for the last line; 0: neither. */
static unsigned take_code(struct span line, bool *is_last)
{
	unsigned code = 0;
	for (size_t i = 0; i < 3; i++) {
		if (line.len < 3 || line.data[i] < '0' || line.data[i] > '9')
			return 0;
		code = 10 * code + line.data[i] - '0';
	}
	*is_last = line.len == 3 || line.data[3] == ' ';
	return *is_last || line.data[3] == '-' ? code : 0;
}

/* All lines of the reply that `heard` begins with. */
static enum talk take_reply(
	struct talk_state *state, struct span heard, struct reply *reply, size_t *used)
{
	struct span line, rest = heard;
	bool is_last = false;
	size_t whole = 0;
	while (!is_last) {
		size_t len = 0;
		enum talk talk = preface_take_line(state, rest, LINE_MAX, &line, &len);
		state->want = heard.len + 1;
		if (talk != TALK_DONE)
			return talk;
		unsigned code = take_code(line, &is_last);
		if (code == 0 || (whole > 0 && code != reply->code))
			return preface_refused(state, "the server does not speak SMTP");
		reply->code = code;
		reply->has_starttls |= line.len > 4 &&
			preface_is_word(span_of(line.data + 4, line.len - 4), "STARTTLS");
		whole += len;
		span_take(&rest, len, &line);
	}
	reply->lines = span_of(heard.data, whole);
	*used = whole;
	return TALK_DONE;
}

static enum talk take_greeting(struct talk_state *state, const struct reply *reply, struct buf *say)
{
	if (reply->code != 220)
		return preface_refused(state, "the server greets with an error");
	if (state->greeting && reply->lines.len > buf_room(state->greeting))
		return preface_refused(state, "the greeting is too long");
	if (state->greeting)
		preface_say(state->greeting, reply->lines.data, reply->lines.len);
	if (state->is_plain)
		return TALK_DONE;
	preface_say_text(say, "EHLO gatehouse\r\n");
	state->phase = PHASE_EHLO;
	return TALK_SAY;
}

static enum talk take_answer(struct talk_state *state, const struct reply *reply, struct buf *say)
{
	switch (state->phase) {
	case PHASE_GREETING:
		return take_greeting(state, reply, say);
	case PHASE_EHLO:
		if (reply->code != 250)
			return preface_refused(state, "the server declines EHLO");
		if (!reply->has_starttls)
			return preface_refused(state, "the server does not offer STARTTLS");
		preface_say_text(say, "STARTTLS\r\n");
		state->phase = PHASE_ANSWER;
		return TALK_SAY;
	default:
		if (reply->code != 220)
			return preface_refused(state, "the server declines STARTTLS");
		return TALK_DONE;
	}
}

/* The greeting is the server's only one: none comes within TLS. */
static enum talk smtp_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct reply reply = {0};
	enum talk talk = take_reply(state, heard, &reply, used);
	if (talk != TALK_DONE)
		return talk;
	talk = take_answer(state, &reply, say);
	if (talk == TALK_SAY && *used < heard.len) {
		say->end = 0;
		return preface_refused(state, "the server answers before it is asked");
	}
	return talk;
}

/* Temporary, lest a mail server gives its messages back (RFC 5321 section 4.2.1). */
static void smtp_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	preface_say_text(say, why == REFUSAL_PROTOCOL ? "554 " : "421 ");
	preface_say_text(say, words);
	preface_say_text(say, "\r\n");
}

extern const struct preface smtp_preface;
const struct preface smtp_preface = {
	.name = "smtp",
	.title = "SMTP",
	.is_starttls = true,
	.speaks_first = true,
	.offers_starttls = true,
	.front = smtp_front,
	.back = smtp_back,
	.refuse = smtp_refuse,
};
