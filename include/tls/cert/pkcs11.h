/* Keys and certificates on tokens, by a PKCS#11 URI (RFC 7512). */
#ifndef GATEHOUSE_TLS_CERT_PKCS11_H
#define GATEHOUSE_TLS_CERT_PKCS11_H

#include "tls/cert/key_parts.h"

/* Adds what the URI names, a key or a certificate or both. */
bool pkcs11_load(
	struct key_parts *parts, const char *uri, struct key_prompt *prompt, struct err *err);

#endif
