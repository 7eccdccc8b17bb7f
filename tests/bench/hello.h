/*
 * The first bytes of a client: a real ClientHello, taken from OpenSSL once, with the server name and our command
 * patched in; or what a protocol in the clear begins with.
 */
#ifndef BENCH_HELLO_H
#define BENCH_HELLO_H

#include "command.h"

#include <stddef.h>

#define HELLO_MAX 2048

struct hello {
	size_t length;
	size_t name_offset;       /* 0: it has none */
	const char *name_pattern; /* names.h; the caller's */
	unsigned char bytes[HELLO_MAX];
};

void hello_capture(struct hello *hello, const char *name_pattern, const struct command *command);

/* FIRST_SSH or FIRST_HTTP (command.h), and the command. */
void hello_in_the_clear(struct hello *hello, const char *first, const struct command *command);

/* Sets the server name of a copy of the hello to that of the number. */
void hello_copy(const struct hello *hello, uint32_t number, unsigned char *to);

#endif
