/*
 * How one kind of client is served: certificates, versions, whether a certificate is requested and which
 * CAs issue it. Routes with equal policy and files share one context (tls/tls_context).
 */
#ifndef GATEHOUSE_TLS_TLS_POLICY_H
#define GATEHOUSE_TLS_TLS_POLICY_H

#include "tls/cert/credential.h"
#include "tls/cert/trust.h"

#define CREDENTIALS_MAX 8 /* one of each key type */

/*
 * Towards clients and servers, in OpenSSL's form: forward secrecy and authenticated encryption only;
 * hardware decides between AES and ChaCha20.
 */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

enum tls_verify { TLS_VERIFY_NONE, TLS_VERIFY_OPTIONAL, TLS_VERIFY_REQUIRED };

struct tls_policy {
	struct credential *credentials[CREDENTIALS_MAX];
	size_t credential_count;
	uint16_t min_version; /* 0x0303, 0x0304 */
	enum tls_verify verify;
	struct trust *trust; /* NULL exactly when `verify` is none */
	unsigned verify_depth;
	bool refuse_expired_crl;
	bool tickets; /* resumption; never where certificates are requested */
};

#endif
