#include "tls/cert/key_parts.h"

#include "tls/cert/ossl_error.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>

#define PASSPHRASE_MAX 256

static bool is_end_of_pem(void)
{
	unsigned long code = ERR_peek_last_error();
	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool parts_read_certificates(struct key_parts *parts, BIO *pem, struct err *err)
{
	X509 *next;
	ERR_clear_error();
	parts->chain = sk_X509_new_null();
	parts->leaf = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
	bool is_kept = parts->chain != NULL;
	while (parts->leaf && is_kept &&
		(next = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL) {
		is_kept = sk_X509_push(parts->chain, next) > 0;
		if (!is_kept)
			X509_free(next);
	}
	bool ok = is_kept && is_end_of_pem();
	if (!ok)
		err_set(err, "a certificate in it cannot be read (%s)", ossl_error_take());
	ERR_clear_error();
	return ok;
}

static bool parts_read_key(
	struct key_parts *parts, BIO *pem, struct key_prompt *prompt, struct err *err)
{
	ERR_clear_error();
	parts->key = PEM_read_bio_PrivateKey(pem, NULL, key_prompt_ask, prompt);
	if (!parts->key)
		key_prompt_explain(prompt, err);
	ERR_clear_error();
	return parts->key != NULL;
}

/* Of every kind of key, encrypted or not (RFC 7468 sections 10 and 11, RFC 5915). */
static const char key_label[] = "PRIVATE KEY-----";

static bool parts_read_pem(struct key_parts *parts, const uint8_t *data, size_t len,
	struct key_prompt *prompt, struct err *err)
{
	BIO *pem = BIO_new_mem_buf(data, (int)len);
	err_no_memory(err);
	bool ok = pem && parts_read_certificates(parts, pem, err);
	BIO_free(pem);
	if (!ok || !memmem(data, len, key_label, sizeof key_label - 1))
		return ok;
	pem = BIO_new_mem_buf(data, (int)len);
	ok = pem && parts_read_key(parts, pem, prompt, err);
	BIO_free(pem);
	return ok;
}

/* Without a passphrase there are two ways to encrypt: with an empty one, and with none. */
static const char *pkcs12_passphrase(
	PKCS12 *p12, struct key_prompt *prompt, char room[PASSPHRASE_MAX], bool *ok)
{
	*ok = true;
	if (PKCS12_verify_mac(p12, "", 0) == 1)
		return "";
	if (PKCS12_verify_mac(p12, NULL, 0) == 1)
		return NULL;
	*ok = key_prompt_ask(room, PASSPHRASE_MAX, 0, prompt) >= 0;
	return room;
}

static bool is_unsupported_cipher(void)
{
	unsigned long code = ERR_peek_error();
	return ERR_GET_REASON(code) == ERR_R_UNSUPPORTED;
}

static bool parts_read_pkcs12(struct key_parts *parts, const uint8_t *data, size_t len,
	struct key_prompt *prompt, struct err *err)
{
	char room[PASSPHRASE_MAX] = "";
	bool ok = false;
	ERR_clear_error();
	PKCS12 *p12 = d2i_PKCS12(NULL, &data, (long)len);
	if (!p12) {
		err_set(err, "neither PEM nor PKCS#12 (%s)", ossl_error_take());
		return false;
	}
	const char *passphrase = pkcs12_passphrase(p12, prompt, room, &ok);
	ERR_clear_error();
	if (ok)
		ok = PKCS12_parse(p12, passphrase, &parts->key, &parts->leaf, &parts->chain) == 1;
	if (!ok && !prompt->has_failed && is_unsupported_cipher())
		err_set(err,
			"encrypted in a way that OpenSSL 3 takes for too weak; "
			"\"openssl pkcs12 -legacy\" can write it anew");
	else if (!ok)
		key_prompt_explain(prompt, err);
	ERR_clear_error();
	OPENSSL_cleanse(room, sizeof room);
	PKCS12_free(p12);
	return ok;
}

bool key_parts_read(struct key_parts *parts, const uint8_t *data, size_t len,
	struct key_prompt *prompt, struct err *err)
{
	bool is_der = len > 0 && data[0] == 0x30; /* a SEQUENCE; no PEM file begins with "0" */
	return is_der ? parts_read_pkcs12(parts, data, len, prompt, err)
		      : parts_read_pem(parts, data, len, prompt, err);
}

void key_parts_finish(struct key_parts *parts)
{
	X509_free(parts->leaf);
	sk_X509_pop_free(parts->chain, X509_free);
	EVP_PKEY_free(parts->key);
}
