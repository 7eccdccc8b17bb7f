/* The forward of `run` in the arguments and the environment of its command. */
#ifndef GATEHOUSE_CLIENT_RUN_ARGUMENTS_H
#define GATEHOUSE_CLIENT_RUN_ARGUMENTS_H

#include "base/arena.h"
#include "net/address.h"

enum { WORD_ADDR = 1, WORD_HOST = 2, WORD_PORT = 4, WORD_SOCKET = 8 };

/* Which of {addr}, {host}, {port} and {socket} there are in the arguments. */
unsigned run_arguments_words(char **argv);

/* The arguments with their words replaced, NULL at the end; NULL: out of memory. */
char **run_arguments_fill(struct arena *arena, char **argv, const struct address *address);

/* Our environment with GATEHOUSE_ADDR, and _HOST and _PORT, or _SOCKET, in it. */
char **run_arguments_environment(struct arena *arena, const struct address *address);

#endif
