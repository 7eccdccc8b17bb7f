#include "wire/mysql.h"

#define CHALLENGE_FIRST 8  /* bytes of the challenge that stand in front of the capabilities */
#define CHALLENGE_REST  13 /* and behind them, NUL included */
#define RESERVED        10
#define FILLER          23
#define SSL_REQUEST_LEN 32
#define CHARSET         45 /* utf8mb4_general_ci */
#define STATUS          2  /* SERVER_STATUS_AUTOCOMMIT */

/* Reading. */

uint32_t mysql_get_u32(const uint8_t *at)
{
	return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

struct mysql_head mysql_read_head(const uint8_t *at)
{
	return (struct mysql_head){.len = mysql_get_u32(at) & MYSQL_LENGTH_MAX, .sequence = at[3]};
}

static bool take_u32(struct span *cursor, uint32_t *out)
{
	struct span bytes;
	if (!span_take(cursor, 4, &bytes))
		return false;
	*out = mysql_get_u32(bytes.data);
	return true;
}

static bool take_text(struct span *cursor, struct span *out)
{
	const uint8_t *end = cursor->len > 0 ? memchr(cursor->data, 0, cursor->len) : NULL;
	struct span nul;
	return end && span_take(cursor, (size_t)(end - cursor->data), out) &&
		span_take(cursor, 1, &nul);
}

/* A length-encoded string of less than 64 KiB. */
static bool take_lenenc(struct span *cursor, struct span *out)
{
	struct span bytes;
	unsigned len;
	if (!span_take_u8(cursor, &len) || len == 0xfb || len > 0xfc)
		return false;
	if (len == 0xfc) {
		if (!span_take(cursor, 2, &bytes))
			return false;
		len = (unsigned)bytes.data[0] | (unsigned)bytes.data[1] << 8;
	}
	return span_take(cursor, len, out);
}

bool mysql_read_greeting(struct span payload, uint32_t *capabilities)
{
	struct span version, first, low, middle, high;
	unsigned protocol;
	uint32_t thread;
	if (!span_take_u8(&payload, &protocol) || protocol != MYSQL_V10 ||
		!take_text(&payload, &version) || !take_u32(&payload, &thread) ||
		!span_take(&payload, CHALLENGE_FIRST + 1, &first) ||
		!span_take(&payload, 2, &low) || !span_take(&payload, 3, &middle) ||
		!span_take(&payload, 2, &high))
		return false;
	*capabilities = (uint32_t)low.data[0] | (uint32_t)low.data[1] << 8 |
		(uint32_t)high.data[0] << 16 | (uint32_t)high.data[1] << 24;
	return true;
}

static bool take_answer(struct span *cursor, uint32_t capabilities, struct span *out)
{
	return capabilities & MYSQL_LENENC_AUTH ? take_lenenc(cursor, out)
						: span_take_vector8(cursor, out);
}

bool mysql_read_response(struct span payload, struct mysql_response *out)
{
	struct span filler;
	unsigned charset;
	*out = (struct mysql_response){0};
	if (!take_u32(&payload, &out->capabilities) || !take_u32(&payload, &out->max_packet) ||
		!span_take_u8(&payload, &charset) || !span_take(&payload, FILLER, &filler) ||
		!take_text(&payload, &out->user) ||
		!take_answer(&payload, out->capabilities, &out->answer))
		return false;
	out->charset = (uint8_t)charset;
	/* Some clients have a bit without the text that it stands for, at the end. */
	if (out->capabilities & MYSQL_CONNECT_WITH_DB && payload.len > 0 &&
		!take_text(&payload, &out->database))
		return false;
	if (out->capabilities & MYSQL_PLUGIN_AUTH && payload.len > 0 &&
		!take_text(&payload, &out->plugin))
		return false;
	out->attributes = payload;
	return true;
}

/* Writing. */

static void write_bytes(struct buf *out, const void *data, size_t len)
{
	size_t taken = len < buf_room(out) ? len : buf_room(out);
	if (taken > 0)
		memcpy(out->data + out->end, data, taken);
	out->end += taken;
}

static void write_zeros(struct buf *out, size_t count)
{
	static const uint8_t zeros[FILLER];
	write_bytes(out, zeros, count);
}

static void write_number(struct buf *out, uint32_t value, size_t len)
{
	const uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
		(uint8_t)(value >> 24)};
	write_bytes(out, bytes, len);
}

static void write_text(struct buf *out, struct span text)
{
	write_bytes(out, text.data, text.len);
	write_zeros(out, 1);
}

void mysql_write_head(struct buf *out, struct mysql_head head)
{
	write_number(out, head.len, 3);
	write_number(out, head.sequence, 1);
}

/* The length, once what is behind `start` is written. */
static void end_packet(struct buf *out, size_t start, uint8_t sequence)
{
	struct buf head = {.data = out->data + start, .size = out->end - start};
	mysql_write_head(&head,
		(struct mysql_head){
			.len = (uint32_t)(head.size - MYSQL_HEAD), .sequence = sequence});
}

static size_t begin_packet(struct buf *out)
{
	size_t start = out->end;
	write_zeros(out, MYSQL_HEAD);
	return start;
}

void mysql_write_greeting(struct buf *out, const char *version, uint32_t capabilities,
	const char *plugin, const char challenge[20])
{
	size_t start = begin_packet(out);
	write_number(out, MYSQL_V10, 1);
	write_text(out, span_of_string(version));
	write_number(out, 0, 4); /* the connection's id */
	write_bytes(out, challenge, CHALLENGE_FIRST);
	write_zeros(out, 1);
	write_number(out, capabilities, 2);
	write_number(out, CHARSET, 1);
	write_number(out, STATUS, 2);
	write_number(out, capabilities >> 16, 2);
	write_number(out, CHALLENGE_FIRST + CHALLENGE_REST, 1);
	write_zeros(out, RESERVED);
	write_text(out, span_of(challenge + CHALLENGE_FIRST, CHALLENGE_REST - 1));
	write_text(out, span_of_string(plugin));
	end_packet(out, start, 0);
}

static void write_response_head(struct buf *out, const struct mysql_response *response)
{
	write_number(out, response->capabilities, 4);
	write_number(out, response->max_packet, 4);
	write_number(out, response->charset, 1);
	write_zeros(out, FILLER);
}

void mysql_write_ssl_request(struct buf *out, const struct mysql_response *response)
{
	mysql_write_head(out, (struct mysql_head){.len = SSL_REQUEST_LEN, .sequence = 1});
	write_response_head(out, response);
}

void mysql_write_response(struct buf *out, uint8_t sequence, const struct mysql_response *response)
{
	size_t start = begin_packet(out);
	write_response_head(out, response);
	write_text(out, response->user);
	write_number(out, (uint32_t)response->answer.len, 1);
	write_bytes(out, response->answer.data, response->answer.len);
	if (response->capabilities & MYSQL_CONNECT_WITH_DB)
		write_text(out, response->database);
	write_text(out, response->plugin);
	if (response->capabilities & MYSQL_CONNECT_ATTRS)
		write_bytes(out, response->attributes.data, response->attributes.len);
	end_packet(out, start, sequence);
}

void mysql_write_error(
	struct buf *out, uint8_t sequence, struct mysql_error error, const char *words)
{
	size_t start = begin_packet(out);
	write_number(out, MYSQL_ERR, 1);
	write_number(out, error.code, 2);
	write_bytes(out, "#", 1);
	write_bytes(out, error.sqlstate, 5);
	write_bytes(out, words, strlen(words));
	end_packet(out, start, sequence);
}
