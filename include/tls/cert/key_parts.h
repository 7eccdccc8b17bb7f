/*
 * What one file or token holds of a client's certificate: the certificate, what follows it as its
 * chain, a private key. Each may be missing.
 */
#ifndef GATEHOUSE_TLS_CERT_KEY_PARTS_H
#define GATEHOUSE_TLS_CERT_KEY_PARTS_H

#include "base/err.h"
#include "tls/cert/key_prompt.h"

#include <openssl/x509.h>
#include <stdint.h>

/* All NULL to begin with. Whoever takes a part leaves NULL in its place. */
struct key_parts {
	X509 *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY *key;
};

/* Adds what a file holds, PEM or PKCS#12; the key may be encrypted. */
bool key_parts_read(struct key_parts *parts, const uint8_t *data, size_t len,
	struct key_prompt *prompt, struct err *err);
void key_parts_finish(struct key_parts *parts);

#endif
