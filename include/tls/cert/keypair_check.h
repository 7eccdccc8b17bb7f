/*
 * Whether OpenSSL accepts a certificate with its key (the key may be too short, a signature too weak).
 * What it looks at is the same for all of one class - type and size of the key, curve, signature, the
 * chain - so one of each class is tried. For one thread at a time.
 */
#ifndef GATEHOUSE_TLS_CERT_KEYPAIR_CHECK_H
#define GATEHOUSE_TLS_CERT_KEYPAIR_CHECK_H

#include "base/err.h"
#include "tls/cert/credential.h"

struct keypair_check;

struct keypair_check *keypair_check_create(struct err *err); /* NULL with `err` */
void keypair_check_destroy(struct keypair_check *check);     /* NULL is fine */

/* False with `err`. */
bool keypair_check_passes(
	struct keypair_check *check, const struct credential *credential, struct err *err);

#endif
