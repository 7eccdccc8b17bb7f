/*
 * What the load client asks of the backend. The three numbers travel inside the random of a real
 * ClientHello when the proxy passes bytes through, behind the first bytes of a protocol in the clear,
 * or as the first plain bytes when it terminates TLS; so one backend serves every mode and nothing has
 * to be agreed on by port.
 *
 * A round, seen from the client: send `sends` bytes, then receive `receives` bytes. Both sides draw
 * the bytes from pattern.h by their position in the stream, and both check what they get.
 */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COMMAND_SIZE 24

/* Offset of the 32-byte random in a ClientHello: record header 5, handshake header 4, version 2. */
#define HELLO_RANDOM_OFFSET  11
#define TLS_HANDSHAKE_RECORD 0x16

/* What a client in the clear begins with. */
#define FIRST_SSH  "SSH-"
#define FIRST_HTTP "HEAD / HTTP/1.1\r\nX: "

/* Where the command stands, by the first byte of all. */
static inline size_t command_offset(unsigned char first)
{
	if (first == TLS_HANDSHAKE_RECORD)
		return HELLO_RANDOM_OFFSET;
	if (first == FIRST_SSH[0])
		return sizeof(FIRST_SSH) - 1;
	return first == FIRST_HTTP[0] ? sizeof(FIRST_HTTP) - 1 : 0;
}

struct command {
	uint64_t sends;
	uint64_t receives;
	uint32_t rounds;
};

static const char command_magic[4] = {'G', 'H', 'b', '1'};

/* Both ends run on one machine, so host byte order is fine. */
static inline void command_encode(const struct command *command, unsigned char *to)
{
	memcpy(to, command_magic, 4);
	memcpy(to + 4, &command->sends, 8);
	memcpy(to + 12, &command->receives, 8);
	memcpy(to + 20, &command->rounds, 4);
}

static inline bool command_decode(struct command *command, const unsigned char *from)
{
	if (memcmp(from, command_magic, 4) != 0)
		return false;
	memcpy(&command->sends, from + 4, 8);
	memcpy(&command->receives, from + 12, 8);
	memcpy(&command->rounds, from + 20, 4);
	return command->rounds > 0;
}

#endif
