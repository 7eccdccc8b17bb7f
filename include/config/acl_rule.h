/*
 * One rule of an "acl": which fields there are, and how the text of a rule becomes the key that
 * values of certificates are compared with (route/acl/acl.h says what each field means).
 */
#ifndef GATEHOUSE_CONFIG_ACL_RULE_H
#define GATEHOUSE_CONFIG_ACL_RULE_H

#include "config/config.h"

enum acl_rule_kind {
	ACL_RULE_CN,
	ACL_RULE_ORG,
	ACL_RULE_OU,
	ACL_RULE_DNS,
	ACL_RULE_URI,
	ACL_RULE_BELOW, /* allow_uri that ends in "/" and "*" */
	ACL_RULE_EMAIL,
	ACL_RULE_FINGERPRINT,
};

struct acl_rule {
	enum acl_rule_kind kind;
	struct span key;  /* in canonical form; of ACL_RULE_BELOW without the "*" */
	const char *text; /* the key, and the "*" */
};

enum { ACL_FIELDS = 7 };
struct acl_field {
	const char *name; /* "allow_cn" */
	enum acl_rule_kind kind;
	size_t offset; /* of its struct strings in struct acl_config */
};
const struct acl_field *acl_field_at(size_t index); /* below ACL_FIELDS */

const struct strings *acl_config_strings(const struct acl_config *config, size_t field);
size_t acl_config_count(const struct acl_config *config); /* of its rules */

/* The name of the field for rules of a kind. */
const char *acl_rule_field(enum acl_rule_kind kind);

/*
 * Brings a rule whose key is the text of the configuration into canonical form, which is written
 * to `out` with a NUL and is never longer than the text. NULL, or what is wrong, in words that fit
 * behind the text ("is empty").
 */
const char *acl_rule_compile(struct acl_rule *rule, char *out);

/* The same, for a check alone. */
const char *acl_rule_error(enum acl_rule_kind kind, const char *text);

/* Lower case behind the "@"; `out` is as long as `raw` is. False: it is no address. */
#define ACL_EMAIL_MAX 320 /* RFC 3696 errata 1690: 64 of the local part, "@", 255 of the domain */
bool acl_email_fold(struct span raw, char *out);

#endif
