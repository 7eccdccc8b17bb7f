/*
 * Certificates as the tests want them, sound or not: names put in byte by byte,
 * signed by itself.
 */
#ifndef GATEHOUSE_UNIT_MADE_CERTIFICATE_H
#define GATEHOUSE_UNIT_MADE_CERTIFICATE_H

#include "base/bytes.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/*
 * A subject value (nid and an ASN.1 string type) or a SAN (nid 0 and
 * GEN_DNS, GEN_URI, GEN_EMAIL).
 */
struct made_name {
	int nid, type;
	struct span value;
};

#define BYTES(literal) span_of(literal, sizeof(literal) - 1)

static inline EVP_PKEY *made_key(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

/* A type that is no MBSTRING_ one: OpenSSL then takes the bytes as they are. */
static inline void made_subject_value(X509_NAME *subject, const struct made_name *name)
{
	X509_NAME_add_entry_by_NID(
		subject, name->nid, name->type, name->value.data, (int)name->value.len, -1, 0);
}

static inline void made_san(GENERAL_NAMES *sans, const struct made_name *name)
{
	GENERAL_NAME *san = GENERAL_NAME_new();
	ASN1_IA5STRING *string = ASN1_IA5STRING_new();
	ASN1_STRING_set(string, name->value.data, (int)name->value.len);
	GENERAL_NAME_set0_value(san, name->type, string);
	sk_GENERAL_NAME_push(sans, san);
}

/* Never valid for long, and never asked for. The caller frees it. */
static inline X509 *made_certificate(EVP_PKEY *key, const struct made_name *names, size_t count)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_NAME_new();
	GENERAL_NAMES *sans = sk_GENERAL_NAME_new_null();
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	ASN1_TIME_set(X509_getm_notBefore(certificate), 1700000000);
	ASN1_TIME_set(X509_getm_notAfter(certificate), 1800000000);
	for (size_t i = 0; i < count; i++) {
		if (names[i].nid)
			made_subject_value(subject, &names[i]);
		else
			made_san(sans, &names[i]);
	}
	X509_set_subject_name(certificate, subject);
	X509_set_issuer_name(certificate, subject);
	X509_set_pubkey(certificate, key);
	if (sk_GENERAL_NAME_num(sans) > 0)
		X509_add1_ext_i2d(certificate, NID_subject_alt_name, sans, 0, 0);
	X509_sign(certificate, key, EVP_sha256());
	GENERAL_NAMES_free(sans);
	X509_NAME_free(subject);
	return certificate;
}

/* As it would come over the wire: encoded and read back. NULL when OpenSSL cannot. */
static inline X509 *reread_certificate(X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	const unsigned char *at = der;
	X509 *again = len > 0 ? d2i_X509(NULL, &at, len) : NULL;
	OPENSSL_free(der);
	return again;
}

#endif
