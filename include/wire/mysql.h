/*
 * The packets by which a MySQL or MariaDB connection begins, read and written: Protocol::HandshakeV10, SSLRequest,
 * HandshakeResponse41, ERR_Packet (MySQL Internals, "Connection Phase Packets"). Numbers are
 * little-endian. Pure: what is read points into the packet, what is written goes behind a buf, as much as fits.
 */
#ifndef GATEHOUSE_WIRE_MYSQL_H
#define GATEHOUSE_WIRE_MYSQL_H

#include "base/bytes.h"

enum {
	MYSQL_HEAD = 4,              /* of a packet: 3 bytes of length, a sequence number */
	MYSQL_LENGTH_MAX = 0xffffff, /* of a payload: another packet continues it */
};

enum mysql_capability {
	MYSQL_LONG_PASSWORD = 1 << 0, /* MariaDB: there are no capabilities of its own */
	MYSQL_FOUND_ROWS = 1 << 1,
	MYSQL_LONG_FLAG = 1 << 2,
	MYSQL_CONNECT_WITH_DB = 1 << 3,
	MYSQL_LOCAL_FILES = 1 << 7,
	MYSQL_IGNORE_SPACE = 1 << 8,
	MYSQL_PROTOCOL_41 = 1 << 9,
	MYSQL_INTERACTIVE = 1 << 10,
	MYSQL_SSL = 1 << 11,
	MYSQL_TRANSACTIONS = 1 << 13,
	MYSQL_SECURE_CONNECTION = 1 << 15,
	MYSQL_MULTI_STATEMENTS = 1 << 16,
	MYSQL_MULTI_RESULTS = 1 << 17,
	MYSQL_PS_MULTI_RESULTS = 1 << 18,
	MYSQL_PLUGIN_AUTH = 1 << 19,
	MYSQL_CONNECT_ATTRS = 1 << 20,
	MYSQL_LENENC_AUTH = 1 << 21,
	MYSQL_EXPIRED_PASSWORDS = 1 << 22,
};

/* The first byte of a payload. */
enum { MYSQL_OK = 0, MYSQL_AUTH_MORE = 1, MYSQL_V10 = 10, MYSQL_SWITCH = 0xfe, MYSQL_ERR = 0xff };

struct mysql_head {
	uint32_t len; /* of the payload */
	uint8_t sequence;
};

struct mysql_response {
	uint32_t capabilities, max_packet;
	uint8_t charset;
	struct span user, answer, database, plugin; /* without their NUL or length */
	struct span attributes;                     /* with their length, and all behind them */
};

uint32_t mysql_get_u32(const uint8_t *at);

/* Of at least MYSQL_HEAD bytes. */
struct mysql_head mysql_read_head(const uint8_t *at);

/* False: the payload is not that. Of a greeting the capabilities alone matter. */
bool mysql_read_greeting(struct span payload, uint32_t *capabilities);
bool mysql_read_response(struct span payload, struct mysql_response *out);

void mysql_write_head(struct buf *out, struct mysql_head head);
void mysql_write_greeting(struct buf *out, const char *version, uint32_t capabilities,
	const char *plugin, const char challenge[20]);
void mysql_write_ssl_request(struct buf *out, const struct mysql_response *response);

/* By its own capabilities; the answer has at most 255 bytes. */
void mysql_write_response(struct buf *out, uint8_t sequence, const struct mysql_response *response);

struct mysql_error {
	uint16_t code;
	const char *sqlstate; /* five characters */
};

void mysql_write_error(
	struct buf *out, uint8_t sequence, struct mysql_error error, const char *words);

#endif
