/*
 * Pins: SHA-256 values of which one must be that of the server's certificate, or of its public key
 * (SubjectPublicKeyInfo, as in RFC 7469).
 */
#ifndef GATEHOUSE_TLS_CERT_PIN_H
#define GATEHOUSE_TLS_CERT_PIN_H

#include "base/err.h"
#include "tls/cert/identity.h"

#define PINS_MAX 8

struct pins {
	size_t count;
	uint8_t sha256[PINS_MAX][FINGERPRINT_SIZE];
};

/*
 * "SHA256:" may stand in front of 64 hexadecimal digits, in pairs with colons or without; or what
 * curl takes for a public key, "sha256//" and base64. False: it is neither, or there are too many.
 */
bool pins_add(struct pins *pins, const char *text, struct err *err);

bool pins_match(const struct pins *pins, const struct identity *identity);

#endif
