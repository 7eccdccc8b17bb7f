/* The control sockets of processes that an upgrade has replaced and that still drain. */
#ifndef GATEHOUSE_CLI_DRAINING_H
#define GATEHOUSE_CLI_DRAINING_H

#include "base/path_set.h"

/* Adds what is beside `socket` with a dot and a process id behind its name. */
void draining_find(const char *socket, struct path_set *out);

#endif
