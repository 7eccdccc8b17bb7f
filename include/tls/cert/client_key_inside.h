/* What one source of a client's certificate holds; shared by client_key.c and pkcs11.c. */
#ifndef GATEHOUSE_TLS_CERT_CLIENT_KEY_INSIDE_H
#define GATEHOUSE_TLS_CERT_CLIENT_KEY_INSIDE_H

#include "tls/cert/client_key.h"

struct key_parts {
	X509 *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY *key;
};

/* Asks for the passphrase of one source, as OpenSSL's callback for PEM; remembers how that went. */
struct asking {
	const struct client_key_setup *setup;
	const char *what;
	bool asked, failed;
	struct err err;
};
int on_passphrase(char *out, int size, int writing, void *asking);

/* pkcs11.c: adds what the URI names, a key or a certificate or both. */
bool pkcs11_load(struct key_parts *parts, const char *uri, struct asking *asking, struct err *err);

#endif
