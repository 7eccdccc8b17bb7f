/* Passphrases of keys: from a file, or from the terminal; standard input belongs to the client. */
#ifndef GATEHOUSE_CLIENT_PASSPHRASE_H
#define GATEHOUSE_CLIENT_PASSPHRASE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A passphrase_fn of tls/client_key.h; `owner` is the path of the file (its first
 * line), or NULL.
 */
bool passphrase_get(void *owner, const char *what, char *out, size_t size, struct err *err);

#endif
