/*
 * The certificate that a person, or a command of theirs, shows: with its key and chain from PEM
 * files (one for both will do), from a PKCS#12 file, or from a token by a PKCS#11 URI (RFC 7512),
 * where a provider or an engine for that is installed. Unlike a daemon's, a key may be encrypted.
 */
#ifndef GATEHOUSE_TLS_CERT_CLIENT_KEY_H
#define GATEHOUSE_TLS_CERT_CLIENT_KEY_H

#include "tls/cert/credential.h"
#include "tls/cert/key_prompt.h"

struct client_key_setup {
	const char *cert, *key; /* files or URIs; where one is NULL the other has both */
	passphrase_fn *ask;
	void *owner;
};

/* NULL with `err`, which names the file at fault. The caller has the only reference. */
struct credential *client_key_load(const struct client_key_setup *setup, struct err *err);

/* Whether its files are still what was loaded. What is on a token does not change. */
bool client_key_is_current(struct credential *credential);

bool client_key_is_uri(const char *source);

/* A source as it may be shown: without the PIN that a URI may hold. */
void client_key_text(const char *source, char *out, size_t size);

/* A key whose file others can read, or group members that were not meant to: its mode; else 0. */
unsigned client_key_loose_mode(const char *path);

#endif
