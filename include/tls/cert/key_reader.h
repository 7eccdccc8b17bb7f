/*
 * Private keys from PEM, many of them: of the 0.3 ms that OpenSSL takes for one, nine tenths go into
 * looking up its decoders, which a reader does once. For one thread at a time.
 */
#ifndef GATEHOUSE_TLS_CERT_KEY_READER_H
#define GATEHOUSE_TLS_CERT_KEY_READER_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

struct key_reader;

struct key_reader *key_reader_create(void);         /* NULL: no memory */
void key_reader_destroy(struct key_reader *reader); /* NULL is fine */

/*
 * The key of that type ("EC"; NULL: not known), when that is what the text begins with, in the usual
 * form ("PRIVATE KEY", PKCS#8 without a passphrase, RFC 7468 section 10). NULL for all else, which
 * OpenSSL's own reader may know or has words for.
 */
EVP_PKEY *key_reader_read(
	struct key_reader *reader, const char *type, const uint8_t *pem, size_t len);

#endif
