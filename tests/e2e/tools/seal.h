/*
 * Records of TLS 1.2 that OpenSSL would not send: sealed with the keys of its connection, as the client, in
 * place of it from then on. AES128-GCM-SHA256 alone (RFC 5288).
 */
#ifndef GATEHOUSE_E2E_SEAL_H
#define GATEHOUSE_E2E_SEAL_H

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SEAL_CIPHERS    "ECDHE+AES128+AESGCM"
#define SEAL_OVERHEAD   (5 + 8 + 16)
#define SEAL_RANDOM     32
#define SEAL_KEY        16
#define SEAL_SALT       4
#define SEAL_TAG        16
#define SEAL_KEY_BLOCK  (2 * SEAL_KEY + 2 * SEAL_SALT)
#define SEAL_MASTER_MAX 48

struct seal {
	uint8_t key[SEAL_KEY], salt[SEAL_SALT];
	uint64_t sequence;
};

/* RFC 5246 section 6.3. */
static inline bool seal_derive(uint8_t block[SEAL_KEY_BLOCK], SSL *ssl)
{
	uint8_t master[SEAL_MASTER_MAX], seed[2 * SEAL_RANDOM];
	size_t len = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
	SSL_get_server_random(ssl, seed, SEAL_RANDOM);
	SSL_get_client_random(ssl, seed + SEAL_RANDOM, SEAL_RANDOM);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, len),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SEED, (char[]){"key expansion"}, 13),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
		OSSL_PARAM_construct_end(),
	};
	bool ok = EVP_KDF_derive(context, block, SEAL_KEY_BLOCK, params) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return ok;
}

/* After the handshake, and before any data: the Finished had number 0. */
static inline bool seal_begin(struct seal *seal, SSL *ssl)
{
	uint8_t block[SEAL_KEY_BLOCK];
	if (!seal_derive(block, ssl))
		return false;
	memcpy(seal->key, block, SEAL_KEY);
	memcpy(seal->salt, block + 2 * SEAL_KEY, SEAL_SALT);
	seal->sequence = 1;
	return true;
}

static inline void seal_put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* `out` has room for `len` and SEAL_OVERHEAD; the size of the record. */
static inline size_t seal_record(
	struct seal *seal, uint8_t type, const void *data, size_t len, uint8_t *out)
{
	uint8_t nonce[SEAL_SALT + 8], associated[13] = {0};
	int n;
	for (int i = 0; i < 8; i++)
		associated[i] = (uint8_t)(seal->sequence >> (56 - 8 * i));
	seal->sequence++;
	memcpy(nonce, seal->salt, SEAL_SALT);
	memcpy(nonce + SEAL_SALT, associated, 8);
	memcpy(associated + 8, (uint8_t[]){type, 3, 3}, 3);
	seal_put16(associated + 11, len);
	memcpy(out, (uint8_t[]){type, 3, 3}, 3);
	seal_put16(out + 3, 8 + len + SEAL_TAG);
	memcpy(out + 5, associated, 8);
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, seal->key, nonce);
	EVP_EncryptUpdate(cipher, NULL, &n, associated, sizeof associated);
	EVP_EncryptUpdate(cipher, out + 13, &n, data, (int)len);
	EVP_EncryptFinal_ex(cipher, out + 13 + len, &n);
	EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, SEAL_TAG, out + 13 + len);
	EVP_CIPHER_CTX_free(cipher);
	return SEAL_OVERHEAD + len;
}

#endif
