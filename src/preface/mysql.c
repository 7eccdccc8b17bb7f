/*
 * MySQL and MariaDB: the server greets, and the client requests TLS by SSLRequest, which has no answer (MySQL
 * Internals, "Connection Phase"). The greeting has the challenge that a password is proved with. In front it is
 * ours, and the answer to it is dropped. `joined` names a method to the server that does not exist, so that the
 * server sends an AuthSwitchRequest with its own challenge and the account's own method, for the client. Our
 * challenge is fixed: the answer to it comes within TLS, nobody else sees it, and it proves nothing to a server.
 */
#include "preface/preface.h"

#include "wire/mysql.h"

#define VERSION   "8.0.11-gatehouse"
#define NATIVE    "mysql_native_password"
#define CHALLENGE "no-answer-is-checked" /* 20 bytes without NUL */
#define NO_METHOD "switch_me_if_you_can" /* as MySQL Router has it */

enum {
	NEEDED = MYSQL_PROTOCOL_41 | MYSQL_SECURE_CONNECTION | MYSQL_PLUGIN_AUTH,
	/* What every server has, and what takes effect in the login alone or can be left out for a server. */
	OFFERED = NEEDED | MYSQL_LONG_PASSWORD | MYSQL_FOUND_ROWS | MYSQL_LONG_FLAG |
		MYSQL_CONNECT_WITH_DB | MYSQL_LOCAL_FILES | MYSQL_IGNORE_SPACE | MYSQL_INTERACTIVE |
		MYSQL_SSL | MYSQL_TRANSACTIONS | MYSQL_MULTI_STATEMENTS | MYSQL_MULTI_RESULTS |
		MYSQL_PS_MULTI_RESULTS | MYSQL_CONNECT_ATTRS | MYSQL_LENENC_AUTH |
		MYSQL_EXPIRED_PASSWORDS,
	SSL_REQUEST_LEN = 32,
	FRONT_MAX = 65535,   /* of a HandshakeResponse in the clear, which is not read */
	GREETING_MAX = 1024, /* of a payload */
	RESPONSE_MAX = PREFACE_JOIN_MAX - MYSQL_HEAD - 1,
	METHOD_MAX = 1 + 21, /* of a switch: its type, and the longest name of is_clear_method */
	FULL_AUTHENTICATION = 4, /* of caching_sha2_password: the password itself is asked for */
};

/* Numbers of packets as the client counts them. */
enum { OUR_GREETING, SSL_REQUEST, RESPONSE, REST };

enum { PHASE_FIRST, PHASE_CONNECTED, PHASE_LOGIN }; /* of `joined` */

struct mysql_memory {
	struct mysql_response response; /* of the client; its numbers alone */
	uint32_t agreed;                /* capabilities for the server */
	uint8_t server_next;            /* the number of the response that the server waits for */
	uint8_t next,
		lag; /* PHASE_LOGIN: the client's next number, and how far the server is behind */
	uint32_t skip
		[2]; /* bytes of the client's, the server's current packet that are still to pass */
};
_Static_assert(sizeof(struct mysql_memory) <= PREFACE_MEMORY, "PREFACE_MEMORY");

static const struct mysql_error bad_handshake = {1043, "08S01"}, old_client = {1251, "08004"},
				needs_tls = {3159, "HY000"};

static enum talk refuse_mysql(struct talk_state *state, const char *error)
{
	state->error = error;
	return TALK_REFUSE;
}

static enum talk mysql_wants(struct talk_state *state, size_t want)
{
	state->want = want;
	return TALK_MORE;
}

/* In front. */

static enum talk refuse_client(
	struct talk_state *state, struct buf *say, struct mysql_error error, const char *why)
{
	mysql_write_error(say, SSL_REQUEST + 1, error, why);
	return refuse_mysql(state, why);
}

static enum talk refuse_plaintext(struct talk_state *state, struct buf *say)
{
	mysql_write_error(say, SSL_REQUEST + 1, needs_tls,
		"This server accepts only connections with TLS; connect with --ssl (MariaDB) or "
		"--ssl-mode=REQUIRED (MySQL)");
	return refuse_mysql(state, "the client does not request TLS");
}

static enum talk mysql_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	if (heard.len == 0) {
		mysql_write_greeting(say, VERSION, OFFERED, NATIVE, CHALLENGE);
		return TALK_SAY;
	}
	if (heard.len < MYSQL_HEAD)
		return mysql_wants(state, MYSQL_HEAD);
	struct mysql_head head = mysql_read_head(heard.data);
	if (head.sequence != SSL_REQUEST || head.len < SSL_REQUEST_LEN || head.len > FRONT_MAX)
		return refuse_client(state, say, bad_handshake, "not a MySQL client");
	if (heard.len < MYSQL_HEAD + 4)
		return mysql_wants(state, MYSQL_HEAD + 4);
	uint32_t capabilities = mysql_get_u32(heard.data + MYSQL_HEAD);
	if (!(capabilities & MYSQL_PROTOCOL_41))
		return refuse_client(state, say, old_client, "the client is too old");
	if (!(capabilities & MYSQL_SSL))
		return refuse_plaintext(state, say);
	if (head.len != SSL_REQUEST_LEN)
		return refuse_client(state, say, bad_handshake, "an invalid SSLRequest");
	if (heard.len < MYSQL_HEAD + SSL_REQUEST_LEN)
		return mysql_wants(state, MYSQL_HEAD + SSL_REQUEST_LEN);
	*used = MYSQL_HEAD + SSL_REQUEST_LEN;
	return TALK_DONE;
}

/* Behind. */

/* The server does not want us, and says so in place of its greeting; it has two bytes of code. */
static enum talk refuse_greeting(struct talk_state *state, struct span payload)
{
	unsigned code = payload.len < 3 ? 0 : payload.data[1] | (unsigned)payload.data[2] << 8;
	switch (code) {
	case 1040:
		return refuse_mysql(state, "the server has too many connections");
	case 1129:
		return refuse_mysql(state, "the server blocks this host (max_connect_errors)");
	case 1130:
		return refuse_mysql(state, "the server has no account for this host");
	default:
		return refuse_mysql(state, "the server greets with an error");
	}
}

/* What `joined` and the request for TLS are to know of this server. */
static void keep_greeting(struct mysql_memory *memory, uint32_t capabilities)
{
	memory->agreed = (memory->response.capabilities & OFFERED & capabilities) | NEEDED;
	memory->agreed &= ~(uint32_t)(MYSQL_SSL | MYSQL_LENENC_AUTH);
	memory->server_next = 1;
}

/* MariaDB goes by the capabilities of the request for TLS, MySQL by those of the response: they are the same. */
static enum talk request_tls(struct talk_state *state, struct mysql_memory *memory,
	uint32_t capabilities, struct buf *say)
{
	if (!(capabilities & MYSQL_SSL))
		return refuse_mysql(state, "the server does not offer TLS");
	memory->agreed |= MYSQL_SSL;
	memory->server_next = 2;
	struct mysql_response request = memory->response;
	request.capabilities = memory->agreed;
	mysql_write_ssl_request(say, &request);
	return TALK_DONE;
}

static enum talk hear_greeting(
	struct talk_state *state, struct span heard, size_t *used, struct span *payload)
{
	if (heard.len < MYSQL_HEAD)
		return mysql_wants(state, MYSQL_HEAD);
	struct mysql_head head = mysql_read_head(heard.data);
	if (head.sequence != 0 || head.len == 0 || head.len > GREETING_MAX)
		return refuse_mysql(state, "the server does not speak MySQL");
	if (heard.len < MYSQL_HEAD + head.len)
		return mysql_wants(state, MYSQL_HEAD + head.len);
	*used = MYSQL_HEAD + head.len;
	*payload = span_of(heard.data + MYSQL_HEAD, head.len);
	if (payload->data[0] == MYSQL_ERR)
		return refuse_greeting(state, *payload);
	return *used == heard.len ? TALK_DONE
				  : refuse_mysql(state, "the server sends more than its greeting");
}

static enum talk mysql_back(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	struct mysql_memory none = {0}, *memory = state->memory ? state->memory : &none;
	uint32_t capabilities;
	struct span payload;
	if (heard.len == 0)
		return TALK_SAY;
	enum talk talk = hear_greeting(state, heard, used, &payload);
	if (talk != TALK_DONE)
		return talk;
	if (!mysql_read_greeting(payload, &capabilities))
		return refuse_mysql(state, "the server does not speak MySQL");
	if ((capabilities & NEEDED) != NEEDED)
		return refuse_mysql(state, "the server is too old");
	keep_greeting(memory, capabilities);
	return state->is_plain ? TALK_DONE : request_tls(state, memory, capabilities, say);
}

/* After TLS. */

static enum talk refuse_joined(struct talk_state *state, struct joined_turn *turn,
	unsigned sequence, struct mysql_error error, const char *why)
{
	mysql_write_error(&turn->to_client, (uint8_t)sequence, error, why);
	return refuse_mysql(state, why);
}

/* The head of a packet of the client. */
static enum talk hear_client(struct talk_state *state, struct joined_turn *turn, unsigned sequence,
	struct mysql_head *head)
{
	if (turn->heard.len < MYSQL_HEAD)
		return mysql_wants(state, MYSQL_HEAD);
	*head = mysql_read_head(turn->heard.data);
	unsigned next = head->sequence + 1U;
	if (head->sequence != sequence)
		return refuse_joined(state, turn, next, bad_handshake, "a wrong sequence number");
	if (head->len == MYSQL_LENGTH_MAX)
		return refuse_joined(state, turn, next, bad_handshake, "a packet is too long");
	return TALK_SAY;
}

/* The client's HandshakeResponse, whole. */
static enum talk hear_response(
	struct talk_state *state, struct joined_turn *turn, struct mysql_response *response)
{
	struct mysql_head head;
	enum talk talk = hear_client(state, turn, RESPONSE, &head);
	if (talk != TALK_SAY)
		return talk;
	if (head.len > RESPONSE_MAX)
		return refuse_joined(
			state, turn, REST, bad_handshake, "the HandshakeResponse is too long");
	if (turn->heard.len < MYSQL_HEAD + head.len)
		return mysql_wants(state, MYSQL_HEAD + head.len);
	if (!mysql_read_response(span_of(turn->heard.data + MYSQL_HEAD, head.len), response))
		return refuse_joined(
			state, turn, REST, bad_handshake, "an invalid HandshakeResponse");
	turn->used = MYSQL_HEAD + head.len;
	return TALK_SAY;
}

/* Its capabilities are for the server's request for TLS; it stays until there is a server. */
static enum talk join_first(struct talk_state *state, struct joined_turn *turn)
{
	struct mysql_memory *memory = state->memory;
	struct mysql_response response;
	enum talk talk = hear_response(state, turn, &response);
	if (talk != TALK_SAY)
		return talk;
	if ((response.capabilities & NEEDED) != NEEDED)
		return refuse_joined(state, turn, REST, old_client, "the client is too old");
	if (response.attributes.len == 0)
		response.capabilities &= ~(uint32_t)MYSQL_CONNECT_ATTRS;
	memory->response = (struct mysql_response){.capabilities = response.capabilities,
		.max_packet = response.max_packet,
		.charset = response.charset};
	turn->used = 0;
	state->phase = PHASE_CONNECTED;
	return TALK_CONNECT;
}

/* The same, without the answer, for the server. */
static enum talk join_connected(struct talk_state *state, struct joined_turn *turn)
{
	struct mysql_memory *memory = state->memory;
	struct mysql_response response;
	enum talk talk = hear_response(state, turn, &response);
	if (talk != TALK_SAY)
		return talk;
	response.capabilities = memory->agreed;
	response.answer = span_of(NULL, 0);
	response.plugin = span_of_string(NO_METHOD);
	mysql_write_response(&turn->to_server, memory->server_next, &response);
	memory->next = REST;
	memory->lag = (uint8_t)(REST - memory->server_next - 1);
	state->phase = PHASE_LOGIN;
	return TALK_SAY;
}

/* A part of the current packet. */
static enum talk pass_part(struct joined_turn *turn, struct buf *to, uint32_t *skip)
{
	size_t len = turn->heard.len < *skip ? turn->heard.len : *skip;
	preface_say(to, turn->heard.data, len);
	turn->used = len;
	*skip -= (uint32_t)len;
	return TALK_SAY;
}

/* Further answers, by whatever method the server has chosen. */
static enum talk pass_client(struct talk_state *state, struct joined_turn *turn)
{
	struct mysql_memory *memory = state->memory;
	struct mysql_head head;
	if (memory->skip[0] > 0)
		return pass_part(turn, &turn->to_server, &memory->skip[0]);
	enum talk talk = hear_client(state, turn, memory->next, &head);
	if (talk != TALK_SAY)
		return talk;
	memory->skip[0] = head.len;
	head.sequence -= memory->lag;
	memory->next++;
	mysql_write_head(&turn->to_server, head);
	turn->used = MYSQL_HEAD;
	return TALK_SAY;
}

/* AuthSwitchRequest: to a method by which the client sends the password itself. */
static bool is_clear_method(struct span body)
{
	static const char *const methods[] = {"mysql_clear_password", "dialog", "sha256_password"};
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		size_t size = strlen(methods[i]) + 1;
		if (body.len > size && memcmp(body.data + 1, methods[i], size) == 0)
			return true;
	}
	return false;
}

/* The client sends the password itself, and believes that nobody can read it on its way. */
static bool is_password_wanted(struct span body)
{
	if (body.data[0] == MYSQL_SWITCH)
		return is_clear_method(body);
	return body.len == 2 && body.data[0] == MYSQL_AUTH_MORE &&
		body.data[1] == FULL_AUTHENTICATION;
}

/* What of a packet must be there before it passes. */
static size_t bytes_to_judge(
	const struct talk_state *state, struct mysql_head head, struct span heard)
{
	bool is_switch = heard.len > MYSQL_HEAD && heard.data[MYSQL_HEAD] == MYSQL_SWITCH;
	size_t most = 1;
	if (!state->is_private && is_switch)
		most = METHOD_MAX;
	else if (head.len == 2)
		most = 2;
	return MYSQL_HEAD + (head.len < most ? head.len : most);
}

/* Packets of the server pass until OK or ERR; what follows has numbers that both sides agree on. */
static enum talk pass_server(struct talk_state *state, struct joined_turn *turn)
{
	struct mysql_memory *memory = state->memory;
	struct span heard = turn->heard;
	if (memory->skip[1] > 0)
		return pass_part(turn, &turn->to_client, &memory->skip[1]);
	if (heard.len < MYSQL_HEAD)
		return mysql_wants(state, MYSQL_HEAD);
	struct mysql_head head = mysql_read_head(heard.data);
	size_t seen = bytes_to_judge(state, head, heard);
	if (heard.len < seen)
		return mysql_wants(state, seen);
	uint8_t type = head.len > 0 ? heard.data[MYSQL_HEAD] : 0;
	bool is_next = head.sequence == (uint8_t)(memory->next - memory->lag);
	if (head.len == 0 || head.len == MYSQL_LENGTH_MAX || (!is_next && type != MYSQL_ERR))
		return refuse_joined(state, turn, memory->next, bad_handshake,
			"the server does not keep to the protocol");
	if (!state->is_private &&
		is_password_wanted(span_of(heard.data + MYSQL_HEAD, seen - MYSQL_HEAD)))
		return refuse_joined(state, turn, memory->next, needs_tls,
			"the login needs TLS or a unix socket to the server");
	memory->skip[1] = head.len - 1;
	head.sequence = memory->next++;
	mysql_write_head(&turn->to_client, head);
	preface_say(&turn->to_client, &type, 1);
	turn->used = MYSQL_HEAD + 1;
	return type == MYSQL_OK || type == MYSQL_ERR ? TALK_DONE : TALK_SAY;
}

static enum talk mysql_joined(struct talk_state *state, struct joined_turn *turn)
{
	bool is_login = state->phase == PHASE_LOGIN;
	if (turn->is_server && is_login)
		return pass_server(state, turn);
	if (turn->is_server)
		return refuse_joined(
			state, turn, REST, bad_handshake, "the server sends before it is asked");
	if (is_login)
		return pass_client(state, turn);
	if (state->phase == PHASE_FIRST)
		return join_first(state, turn);
	return join_connected(state, turn);
}

/* Numbers of servers: libmariadb takes a packet with one of its own, as 2003, for malformed. */
static void mysql_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	static const struct mysql_error errors[] = {[REFUSAL_PROTOCOL] = {1043, "08S01"},
		[REFUSAL_UNKNOWN_NAME] = {1105, "HY000"},
		[REFUSAL_LIMIT] = {1040, "08004"},
		[REFUSAL_DRAINED] = {1053, "08S01"},
		[REFUSAL_NO_SERVER] = {1429, "HY000"}};
	bool is_before_tls = why == REFUSAL_PROTOCOL; /* `joined` has words of its own */
	mysql_write_error(say, is_before_tls ? SSL_REQUEST + 1 : REST, errors[why], words);
}

extern const struct preface mysql_preface;
const struct preface mysql_preface = {
	.name = "mysql",
	.title = "MySQL",
	.is_starttls = true,
	.speaks_first = true,
	.ends_itself = true,
	.front = mysql_front,
	.back = mysql_back,
	.joined = mysql_joined,
	.refuse = mysql_refuse,
};
