/*
 * What an administrator should know of a certificate and key that load and are served all the same: dates,
 * a chain that does not lead up from the certificate, a key file that other users can read.
 */
#ifndef GATEHOUSE_TLS_CERT_CREDENTIAL_CHECK_H
#define GATEHOUSE_TLS_CERT_CREDENTIAL_CHECK_H

#include "tls/cert/credential.h"

/* `text` says what is wrong, without the file of the part, which the caller names; lent. */
typedef void credential_finding_fn(void *owner, enum credential_part part, const char *text);

/* Calls `on_finding` for each; `now` is the wall clock. */
void credential_check(const struct credential *credential, time_t now,
	credential_finding_fn *on_finding, void *owner);

#endif
