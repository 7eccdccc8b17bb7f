/*
 * Which clients a route admits, by what their verified certificate says of them. Any one rule that
 * matches admits; without rules every verified certificate does. What the rules compare:
 *
 *     allow_cn, allow_org, allow_ou   the subject's values, byte for byte; one of several will do
 *     allow_dns                       SAN DNS names in canonical form; "*.example.com" stands for
 *                                     exactly one label more; a wildcard in the certificate itself
 *                                     names no host and matches nothing
 *     allow_uri                       SAN URIs byte for byte, the scheme and trust domain of SPIFFE
 *                                     too (their canonical form is lower case); a trailing "/" and
 *                                     "*" admit every path below, unless it has "." or ".." in it
 *     allow_email                     SAN email: local part byte for byte, domain in any case
 *     allow_fingerprint               SHA-256 of the certificate or of its public key, 64 hex
 *                                     digits
 */
#ifndef GATEHOUSE_ROUTE_ACL_H
#define GATEHOUSE_ROUTE_ACL_H

#include "base/err.h"
#include "config/config.h"
#include "tls/cert/identity.h"

struct acl;

/* Copies what it needs. NULL with `err` for a rule that could never mean what it says. */
struct acl *acl_create(const struct acl_config *config, struct err *err);
void acl_free(struct acl *acl); /* NULL is fine */

/* `field` and `rule` name the rule that admitted ("allow_cn", "alice"), both NULL when it was none;
 * they and `why` are static or the ACL's. */
struct acl_verdict {
	bool is_admitted;
	const char *field, *rule;
	const char *why; /* "no rule admits this certificate", "no client certificate", ... */
};

/* A NULL identity is a client without a certificate: admitted only where there are no rules. */
bool acl_check(const struct acl *acl, const struct identity *identity, struct acl_verdict *verdict);

/* For the log and `explain`: "allow_cn alice, allow_cn bob and 3 more", "" without rules. */
#define ACL_TEXT_MAX 256
void acl_text(const struct acl *acl, char out[ACL_TEXT_MAX]);

/* True when both admit the same; order and repetition of rules do not count. */
bool acl_equal(const struct acl *a, const struct acl *b);

#endif
