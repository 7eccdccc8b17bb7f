#include "tls/cert/lazy_cert.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <string.h>

/* Uncompressed points of the largest curve, and the keys of RFC 8410, are far below. */
#define POINT_MAX 512

static OSSL_LIB_CTX
	*bare; /* without any algorithm, so without decoders; for as long as the process */

static void make_bare(void)
{
	bare = OSSL_LIB_CTX_new();
	if (bare && !OSSL_PROVIDER_load(bare, "null")) {
		OSSL_LIB_CTX_free(bare);
		bare = NULL; /* the default one: keys are decoded then */
	}
}

X509 *lazy_cert_read(BIO *pem)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_bare);
	X509 *certificate = X509_new_ex(bare, NULL);
	if (certificate && PEM_read_bio_X509_AUX(pem, &certificate, NULL, NULL))
		return certificate;
	X509_free(certificate);
	return NULL;
}

X509 *lazy_cert_whole(const X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	const unsigned char *at = der;
	X509 *whole = len > 0 ? d2i_X509(NULL, &at, len) : NULL;
	OPENSSL_free(der);
	return whole;
}

struct encoded_key {
	int type; /* a NID */
	const X509_ALGOR *algorithm;
	const unsigned char *data;
	int len;
};

static bool encoded_key_of(const X509 *certificate, struct encoded_key *out)
{
	ASN1_OBJECT *type;
	X509_ALGOR *algorithm;
	if (X509_PUBKEY_get0_param(&type, &out->data, &out->len, &algorithm,
		    X509_get_X509_PUBKEY(certificate)) != 1)
		return false;
	out->type = OBJ_obj2nid(type);
	out->algorithm = algorithm;
	return true;
}

static const struct key_type {
	int nid;
	const char *name;
} key_types[] = {
	{NID_X9_62_id_ecPublicKey, "EC"},
	{NID_rsaEncryption, "RSA"},
	{NID_ED25519, "ED25519"},
	{NID_ED448, "ED448"},
};

const char *lazy_cert_key_type(const X509 *certificate)
{
	struct encoded_key encoded;
	if (!encoded_key_of(certificate, &encoded))
		return NULL;
	for (size_t i = 0; i < sizeof key_types / sizeof *key_types; i++)
		if (key_types[i].nid == encoded.type)
			return key_types[i].name;
	return NULL;
}

static bool is_on_curve_of(const struct encoded_key *encoded, const EVP_PKEY *key)
{
	char group[80];
	const ASN1_OBJECT *curve;
	const void *value;
	int kind;
	size_t len;
	X509_ALGOR_get0(&curve, &kind, &value, encoded->algorithm);
	if (kind != V_ASN1_OBJECT || EVP_PKEY_get_group_name(key, group, sizeof group, &len) != 1)
		return false;
	return OBJ_obj2nid(value) == OBJ_txt2nid(group);
}

static bool has_point(const struct encoded_key *encoded, const EVP_PKEY *key)
{
	unsigned char point[POINT_MAX];
	size_t len;
	return EVP_PKEY_get_octet_string_param(
		       key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) == 1 &&
		len == (size_t)encoded->len && memcmp(point, encoded->data, len) == 0;
}

static bool is_number(const ASN1_TYPE *item, const EVP_PKEY *key, const char *name)
{
	BIGNUM *ours = NULL, *theirs = NULL;
	bool same = ASN1_TYPE_get(item) == V_ASN1_INTEGER &&
		EVP_PKEY_get_bn_param(key, name, &ours) == 1 &&
		(theirs = ASN1_INTEGER_to_BN(item->value.integer, NULL)) != NULL &&
		BN_cmp(ours, theirs) == 0;
	BN_free(ours);
	BN_free(theirs);
	return same;
}

/* RSAPublicKey of RFC 8017, appendix A.1.1: the modulus and the exponent. */
static bool has_modulus(const struct encoded_key *encoded, const EVP_PKEY *key)
{
	const unsigned char *at = encoded->data;
	ASN1_SEQUENCE_ANY *numbers = d2i_ASN1_SEQUENCE_ANY(NULL, &at, encoded->len);
	bool same = numbers && at == encoded->data + encoded->len &&
		sk_ASN1_TYPE_num(numbers) == 2 &&
		is_number(sk_ASN1_TYPE_value(numbers, 0), key, OSSL_PKEY_PARAM_RSA_N) &&
		is_number(sk_ASN1_TYPE_value(numbers, 1), key, OSSL_PKEY_PARAM_RSA_E);
	sk_ASN1_TYPE_pop_free(numbers, ASN1_TYPE_free);
	return same;
}

static bool is_same_key(const struct encoded_key *encoded, const EVP_PKEY *key)
{
	switch (encoded->type) {
	case NID_X9_62_id_ecPublicKey:
		return is_on_curve_of(encoded, key) && has_point(encoded, key);
	case NID_rsaEncryption:
		return has_modulus(encoded, key);
	default:
		return has_point(encoded, key);
	}
}

bool lazy_cert_is_of(const X509 *certificate, const EVP_PKEY *key)
{
	struct encoded_key encoded;
	const char *type = lazy_cert_key_type(certificate);
	if (!type || !EVP_PKEY_is_a(key, type) || !encoded_key_of(certificate, &encoded))
		return false;
	ERR_set_mark();
	bool same = is_same_key(&encoded, key);
	ERR_pop_to_mark();
	return same;
}
