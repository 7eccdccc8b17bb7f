#include "tls/cert/key_reader.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct key_reader {
	OSSL_DECODER_CTX *decoder; /* writes to `key`; NULL until it is needed */
	char type[32];             /* that it decodes: "EC" */
	EVP_PKEY *key;
};

struct key_reader *key_reader_create(void)
{
	return calloc(1, sizeof(struct key_reader));
}

void key_reader_destroy(struct key_reader *reader)
{
	if (reader)
		OSSL_DECODER_CTX_free(reader->decoder);
	free(reader);
}

static void drop_decoder(struct key_reader *reader)
{
	OSSL_DECODER_CTX_free(reader->decoder);
	reader->decoder = NULL;
}

static void need_decoder(struct key_reader *reader, const char *type)
{
	if (strcmp(reader->type, type) != 0)
		drop_decoder(reader);
	if (reader->decoder)
		return;
	snprintf(reader->type, sizeof reader->type, "%s", type);
	reader->decoder = OSSL_DECODER_CTX_new_for_pkey(&reader->key, "DER", "PrivateKeyInfo", type,
		OSSL_KEYMGMT_SELECT_KEYPAIR, NULL, NULL);
}

/* A decoder that failed is not used again: the next key gets a new one. */
static EVP_PKEY *decode_key(
	struct key_reader *reader, const char *type, const unsigned char *der, size_t len)
{
	need_decoder(reader, type);
	reader->key = NULL;
	if (reader->decoder && OSSL_DECODER_from_data(reader->decoder, &der, &len) == 1)
		return reader->key;
	EVP_PKEY_free(reader->key);
	drop_decoder(reader);
	return NULL;
}

EVP_PKEY *key_reader_read(
	struct key_reader *reader, const char *type, const uint8_t *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	char *label = NULL, *header = NULL;
	unsigned char *der = NULL;
	long der_len = 0;
	EVP_PKEY *key = NULL;
	if (type && bio && PEM_read_bio(bio, &label, &header, &der, &der_len) == 1 &&
		strcmp(label, PEM_STRING_PKCS8INF) == 0)
		key = decode_key(reader, type, der, (size_t)der_len);
	OPENSSL_free(label);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, (size_t)der_len);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}
