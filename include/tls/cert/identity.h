/*
 * The names in a certificate, copied once into memory of their own: the subject's CN,
 * Organization and OU (each may occur several times), the SAN names of type DNS, URI and
 * email, and the SHA-256 of the certificate and of its public key (RFC 5280 sections 4.1.2.6 and
 * 4.2.1.6). Names of different types are never mixed up: a CN is no DNS name.
 *
 * Nothing is judged here: the verification decides whether the chain is valid.
 */
#ifndef GATEHOUSE_TLS_CERT_IDENTITY_H
#define GATEHOUSE_TLS_CERT_IDENTITY_H

#include "base/bytes.h"

struct x509_st; /* OpenSSL's X509 */

enum identity_kind {
	IDENTITY_CN,
	IDENTITY_ORG,
	IDENTITY_OU,
	IDENTITY_DNS,
	IDENTITY_URI,
	IDENTITY_EMAIL,
};

/*
 * A valid value is UTF-8 (of a SAN: ASCII), has a length and holds no NUL. Any other is kept as its
 * raw bytes for the log, and must never match anything.
 */
struct identity_value {
	struct span text;
	enum identity_kind kind;
	bool is_valid;
};

#define FINGERPRINT_SIZE 32

struct identity {
	uint8_t certificate[FINGERPRINT_SIZE]; /* SHA-256 of the whole certificate, DER */
	uint8_t key[FINGERPRINT_SIZE];         /* SHA-256 of its SubjectPublicKeyInfo, DER */
	int64_t not_after;                     /* seconds since 1970; 0 when it cannot be read */
	size_t count;
	struct identity_value values[]; /* in the order of the certificate, the subject first */
};

/* NULL when there is no memory, or the certificate cannot be encoded. Leaves no OpenSSL error. */
struct identity *identity_of(const struct x509_st *certificate);
void identity_free(struct identity *identity);

/* The first valid value of a kind; an empty span when there is none. */
struct span identity_first(const struct identity *identity, enum identity_kind kind);

/*
 * For the log: "CN=alice,O=ops", with what could mislead the reader escaped ("\,", "\x00") and each
 * value, and then the whole, cut with "...". Without any name: "SHA256=" and the fingerprint.
 */
#define IDENTITY_TEXT_MAX 256
void identity_text(const struct identity *identity, char out[IDENTITY_TEXT_MAX]);

/* Lower case, without colons. */
#define FINGERPRINT_HEX_SIZE (2 * FINGERPRINT_SIZE + 1)
void fingerprint_hex(const uint8_t fingerprint[FINGERPRINT_SIZE], char out[FINGERPRINT_HEX_SIZE]);

#endif
