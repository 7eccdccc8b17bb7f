/*
 * The issuers of the leaves: ten thousand chains mostly end in the same few. While a
 * configuration is loaded each is decoded once. For one thread at a time.
 */
#ifndef GATEHOUSE_TLS_CERT_ISSUERS_H
#define GATEHOUSE_TLS_CERT_ISSUERS_H

#include <openssl/x509.h>

struct issuers;

struct issuers *issuers_create(void);          /* NULL: no memory */
void issuers_destroy(struct issuers *issuers); /* NULL is fine */

/*
 * The next certificate of the PEM text, the caller's reference to it. NULL: none, or malformed; OpenSSL's
 * errors say which. `issuers` NULL: it is decoded in any case.
 */
X509 *issuers_read(struct issuers *issuers, BIO *pem);

#endif
