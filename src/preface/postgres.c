/*
 * PostgreSQL's SSLRequest, protocol 3 (PostgreSQL documentation, sections 55.2.11 "SSL Session Encryption", 55.2.9
 * "Canceling Requests in Progress" and 55.7 "Message Formats"). All numbers are big-endian.
 */
#include "preface/preface.h"

#define SAY_SSL_REQUEST "\0\0\0\10\4\322\26\57"

enum {
	CODE_CANCEL = 80877102,
	CODE_SSL = 80877103,
	CODE_GSSENC = 80877104,
	HEAD = 8,                           /* of what a client begins with: length, code */
	STARTUP_MAX = 10000,                /* as in PostgreSQL */
	CANCEL_MIN = HEAD + 8,              /* process id and four bytes of secret */
	KEY_DATA_MAX = PREFACE_KEY_MAX + 4, /* BackendKeyData's length, which counts itself */
	PHASE_GSS_DECLINED = 1,             /* `front` */
	/* `joined`: what was declined, or CONNECTED. */
	PHASE_CONNECTED = 4,
};

struct postgres_memory {
	uint32_t skip; /* bytes of the server's current message that are still to pass */
};

static enum talk refuse_postgres(struct talk_state *state, const char *error)
{
	state->error = error;
	return TALK_REFUSE;
}

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void say_u32(struct buf *say, uint32_t value)
{
	const uint8_t bytes[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
		(uint8_t)(value >> 8), (uint8_t)value};
	preface_say(say, bytes, sizeof bytes);
}

/* A text with its NUL, behind the letter of its field. */
static void say_field(struct buf *say, char field, const char *text)
{
	preface_say(say, &field, 1);
	preface_say(say, text, strlen(text) + 1);
}

static void say_error(struct buf *say, const char *sqlstate, const char *text, const char *hint)
{
	static const char fatal[] = "FATAL";
	size_t hint_len = hint ? strlen(hint) + 2 : 0;
	size_t fields = 2 * (sizeof fatal + 1) + strlen(sqlstate) + 2 + strlen(text) + 2;
	preface_say(say, "E", 1);
	say_u32(say, (uint32_t)(4 + fields + hint_len + 1));
	say_field(say, 'S', fatal);
	say_field(say, 'V', fatal);
	say_field(say, 'C', sqlstate);
	say_field(say, 'M', text);
	if (hint)
		say_field(say, 'H', hint);
	preface_say(say, "", 1);
}

static enum talk take_cancel(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	uint32_t len = get_u32(heard.data);
	if (len < CANCEL_MIN || len > HEAD + PREFACE_KEY_MAX || heard.len > len)
		return refuse_postgres(state, "an invalid CancelRequest");
	state->want = len;
	if (heard.len < len)
		return TALK_MORE;
	*used = len;
	preface_say(say, heard.data + HEAD, len - HEAD);
	return TALK_CANCEL;
}

static enum talk refuse_plaintext(struct talk_state *state, struct buf *say)
{
	say_error(say, "28000", "this server accepts only connections with TLS",
		"Connect with sslmode=require, or better sslmode=verify-full.");
	return refuse_postgres(state, "the client does not request TLS");
}

static enum talk postgres_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	if (heard.data[0] != 0)
		return TALK_NOT_MINE;
	state->want = HEAD;
	if (heard.len < HEAD)
		return TALK_MORE;
	uint32_t len = get_u32(heard.data), code = get_u32(heard.data + 4);
	if (code == CODE_CANCEL)
		return take_cancel(state, heard, used, say);
	if (code == CODE_SSL && len == HEAD) {
		*used = HEAD;
		preface_say(say, "S", 1);
		return TALK_DONE;
	}
	if (code == CODE_GSSENC && len == HEAD && state->phase != PHASE_GSS_DECLINED) {
		*used = HEAD;
		state->phase = PHASE_GSS_DECLINED;
		preface_say(say, "N", 1);
		return TALK_SAY;
	}
	if (code >> 16 == 2 || code >> 16 == 3)
		return refuse_plaintext(state, say);
	return refuse_postgres(state, "not a PostgreSQL client");
}

static enum talk postgres_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	if (heard.len == 0) {
		preface_say(say, SAY_SSL_REQUEST, HEAD);
		return TALK_SAY;
	}
	*used = 1;
	switch (heard.data[0]) {
	case 'S':
		return TALK_DONE;
	case 'N':
		return refuse_postgres(state, "the server declines TLS");
	case 'E':
		return refuse_postgres(state, "the server answers with an error");
	default:
		return refuse_postgres(state, "the server does not speak PostgreSQL");
	}
}

/* There is TLS already, though the client may not see it: it comes by a forward. */
static enum talk decline_again(struct talk_state *state, struct joined_turn *turn, uint32_t code)
{
	unsigned bit = code == CODE_SSL ? 1 : 2;
	if (state->phase & bit)
		return refuse_postgres(state, "the client requests encryption again");
	state->phase |= bit;
	turn->used = HEAD;
	preface_say(&turn->to_client, "N", 1);
	return TALK_SAY;
}

/* The first message under TLS: a startup, or a request to cancel, as libpq 17 sends it. */
static enum talk join_first(struct talk_state *state, struct joined_turn *turn)
{
	struct span heard = turn->heard;
	state->want = HEAD;
	if (heard.len < HEAD)
		return TALK_MORE;
	uint32_t len = get_u32(heard.data), code = get_u32(heard.data + 4);
	if (code == CODE_CANCEL)
		return take_cancel(state, heard, &turn->used, &turn->to_server);
	if ((code == CODE_SSL || code == CODE_GSSENC) && len == HEAD)
		return decline_again(state, turn, code);
	if (len < HEAD || len > STARTUP_MAX)
		return refuse_postgres(state, "not a PostgreSQL startup");
	state->phase = PHASE_CONNECTED;
	return TALK_CONNECT;
}

static enum talk pass(struct joined_turn *turn, struct buf *to, size_t len, enum talk talk)
{
	preface_say(to, turn->heard.data, len);
	turn->used = len;
	return talk;
}

/* BackendKeyData: a process id and a secret. */
static enum talk join_key(struct talk_state *state, struct joined_turn *turn, uint32_t len)
{
	state->want = 1 + (size_t)len;
	if (turn->heard.len < state->want)
		return TALK_MORE;
	turn->key = turn->to_client.data + turn->to_client.end + 5;
	turn->key_len = len - 4;
	return pass(turn, &turn->to_client, state->want, TALK_DONE);
}

/* Messages of the server pass until the key, or until it is ready for queries and has sent none. */
static enum talk join_server(struct talk_state *state, struct joined_turn *turn)
{
	struct postgres_memory *memory = state->memory;
	struct span heard = turn->heard;
	if (memory->skip > 0) {
		size_t len = heard.len < memory->skip ? heard.len : memory->skip;
		memory->skip -= (uint32_t)len;
		return pass(turn, &turn->to_client, len, TALK_SAY);
	}
	state->want = 5;
	if (heard.len < 5)
		return TALK_MORE;
	uint32_t len = get_u32(heard.data + 1);
	if (heard.data[0] == 'K' && len >= 12 && len <= KEY_DATA_MAX)
		return join_key(state, turn, len);
	if (heard.data[0] == 'Z' || len < 4)
		return pass(turn, &turn->to_client, 5, TALK_DONE);
	memory->skip = len - 4;
	return pass(turn, &turn->to_client, 5, TALK_SAY);
}

static enum talk postgres_joined(struct talk_state *state, struct joined_turn *turn)
{
	if (state->phase != PHASE_CONNECTED)
		return join_first(state, turn);
	if (turn->is_server)
		return join_server(state, turn);
	return pass(turn, &turn->to_server, turn->heard.len, TALK_SAY);
}

static void postgres_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	static const char *const sqlstates[] = {[REFUSAL_PROTOCOL] = "08P01",
		[REFUSAL_UNKNOWN_NAME] = "08004",
		[REFUSAL_LIMIT] = "53300",
		[REFUSAL_DRAINED] = "57P03",
		[REFUSAL_NO_SERVER] = "08006"};
	say_error(say, sqlstates[why], words, NULL);
}

static void postgres_cancel(struct span key, struct buf *say)
{
	say_u32(say, (uint32_t)(HEAD + key.len));
	say_u32(say, CODE_CANCEL);
	preface_say(say, key.data, key.len);
}

extern const struct preface postgres_preface;
const struct preface postgres_preface = {
	.name = "postgres",
	.title = "PostgreSQL",
	.is_starttls = true,
	.ends_by_reset = true,
	.binds_channel = true,
	.alpn = "postgresql",
	.front = postgres_front,
	.back = postgres_back,
	.joined = postgres_joined,
	.refuse = postgres_refuse,
	.cancel = postgres_cancel,
};
