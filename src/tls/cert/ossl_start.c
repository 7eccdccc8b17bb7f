#include "tls/cert/ossl_start.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

/*
 * The first algorithm of a kind that is fetched makes OpenSSL load all of that kind. A provider may lack this or
 * that; what is used of them is checked where it is used.
 */
static void load_algorithms(void)
{
	EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
	EVP_CIPHER_free(EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL));
	EVP_MAC_free(EVP_MAC_fetch(NULL, "HMAC", NULL));
	EVP_KDF_free(EVP_KDF_fetch(NULL, "HKDF", NULL));
	EVP_RAND_free(EVP_RAND_fetch(NULL, "CTR-DRBG", NULL));
	EVP_KEYMGMT_free(EVP_KEYMGMT_fetch(NULL, "EC", NULL));
	EVP_KEYEXCH_free(EVP_KEYEXCH_fetch(NULL, "ECDH", NULL));
	EVP_SIGNATURE_free(EVP_SIGNATURE_fetch(NULL, "ECDSA", NULL));
	EVP_ASYM_CIPHER_free(EVP_ASYM_CIPHER_fetch(NULL, "RSA", NULL));
	EVP_KEM_free(EVP_KEM_fetch(NULL, "RSA", NULL));
	OSSL_DECODER_free(OSSL_DECODER_fetch(NULL, "EC", "input=der"));
	ERR_clear_error();
}

/* malloc(3) leaves ENOMEM, which nothing takes back. */
bool ossl_start(void)
{
	errno = 0;
	if (!OSSL_LIB_CTX_get0_global_default() || OPENSSL_init_ssl(0, NULL) != 1)
		return false;
	load_algorithms();
	return errno != ENOMEM;
}
