/*
 * Certificates read without their public keys. OpenSSL decodes the key while it reads a certificate,
 * which is nine tenths of that work; a server shows its certificate and signs with the private key,
 * and nothing needs the other one before a first handshake.
 *
 * Such a certificate has everything else: names, dates, extensions, the encoded key. What needs a
 * digest of it (fingerprints, purposes, X509_cmp, which finds any two equal) is for the whole one.
 */
#ifndef GATEHOUSE_TLS_CERT_LAZY_CERT_H
#define GATEHOUSE_TLS_CERT_LAZY_CERT_H

#include <openssl/x509.h>
#include <stdbool.h>

/* The next certificate of the PEM text. NULL: none, or malformed; OpenSSL's errors say which. */
X509 *lazy_cert_read(BIO *pem);

/* A copy with its public key, owned by the caller. NULL with OpenSSL's errors. */
X509 *lazy_cert_whole(const X509 *certificate);

/* OpenSSL's name for the type of its key: "EC". NULL: none of the usual ones. */
const char *lazy_cert_key_type(const X509 *certificate);

/*
 * Whether that is its private key, by comparing the encoded public key. False: no, or that needs
 * decoding (X509_check_private_key on the whole one).
 */
bool lazy_cert_is_of(const X509 *certificate, const EVP_PKEY *key);

#endif
