#include "config/acl_rule.h"

#include "wire/server_name.h"

#include <stdlib.h>

#define FINGERPRINT_DIGITS 64 /* of SHA-256 in hex */

static const struct acl_field acl_fields[ACL_FIELDS] = {
	{"allow_cn", ACL_RULE_CN, offsetof(struct acl_config, allow_cn)},
	{"allow_org", ACL_RULE_ORG, offsetof(struct acl_config, allow_org)},
	{"allow_ou", ACL_RULE_OU, offsetof(struct acl_config, allow_ou)},
	{"allow_dns", ACL_RULE_DNS, offsetof(struct acl_config, allow_dns)},
	{"allow_uri", ACL_RULE_URI, offsetof(struct acl_config, allow_uri)},
	{"allow_email", ACL_RULE_EMAIL, offsetof(struct acl_config, allow_email)},
	{"allow_fingerprint", ACL_RULE_FINGERPRINT, offsetof(struct acl_config, allow_fingerprint)},
};

const struct acl_field *acl_field_at(size_t index)
{
	return &acl_fields[index];
}

const struct strings *acl_config_strings(const struct acl_config *config, size_t field)
{
	const char *at = (const char *)config + acl_fields[field].offset;
	return (const struct strings *)(const void *)at;
}

size_t acl_config_count(const struct acl_config *config)
{
	size_t count = 0;
	for (size_t i = 0; i < ACL_FIELDS; i++)
		count += acl_config_strings(config, i)->count;
	return count;
}

const char *acl_rule_field(enum acl_rule_kind kind)
{
	for (size_t i = 0; i < ACL_FIELDS; i++)
		if (acl_fields[i].kind == (kind == ACL_RULE_BELOW ? ACL_RULE_URI : kind))
			return acl_fields[i].name;
	return NULL;
}

/* An address has an "@" with something on both sides. */
bool acl_email_fold(struct span raw, char *out)
{
	if (raw.len > ACL_EMAIL_MAX)
		return false;
	const uint8_t *at = memrchr(raw.data, '@', raw.len);
	size_t local = at ? (size_t)(at - raw.data) : 0;
	if (local == 0 || local + 1 == raw.len)
		return false;
	for (size_t i = 0; i < raw.len; i++) {
		uint8_t byte = raw.data[i];
		bool is_folded = i > local && byte >= 'A' && byte <= 'Z';
		out[i] = (char)(is_folded ? byte | 0x20 : byte);
	}
	return true;
}

static const char *compile_dns(struct acl_rule *rule, char *out)
{
	struct server_name name;
	const char *error = server_name_parse_pattern(rule->key, &name);
	if (error)
		return error;
	if (strcmp(name.text, "*") == 0)
		return "stands for every name; leave all rules out instead";
	memcpy(out, name.text, name.len + 1u);
	rule->key.len = name.len;
	return NULL;
}

static const char *compile_uri(struct acl_rule *rule, char *out)
{
	size_t len = rule->key.len;
	const uint8_t *star = memchr(rule->key.data, '*', len);
	memcpy(out, rule->key.data, len + 1);
	if (!star)
		return NULL;
	if (star != rule->key.data + len - 1 || len < 2 || star[-1] != '/')
		return "may have a \"*\" only as all of its last segment";
	if (len < 3 || star[-2] == '/')
		return "stands for every host; name one before the \"*\"";
	rule->kind = ACL_RULE_BELOW;
	rule->key.len--;
	return NULL;
}

static const char *compile_fingerprint(struct acl_rule *rule, char *out)
{
	size_t digits = strspn((const char *)rule->key.data, "0123456789abcdef");
	if (digits != rule->key.len || digits != FINGERPRINT_DIGITS)
		return "is not 64 lower-case hex digits";
	memcpy(out, rule->key.data, digits + 1);
	return NULL;
}

static const char *compile_email(struct acl_rule *rule, char *out)
{
	out[rule->key.len] = '\0';
	return acl_email_fold(rule->key, out) ? NULL : "is not an email address";
}

const char *acl_rule_compile(struct acl_rule *rule, char *out)
{
	if (rule->key.len == 0)
		return "is empty";
	switch (rule->kind) {
	case ACL_RULE_DNS:
		return compile_dns(rule, out);
	case ACL_RULE_URI:
	case ACL_RULE_BELOW:
		return compile_uri(rule, out);
	case ACL_RULE_EMAIL:
		return compile_email(rule, out);
	case ACL_RULE_FINGERPRINT:
		return compile_fingerprint(rule, out);
	case ACL_RULE_CN:
	case ACL_RULE_ORG:
	case ACL_RULE_OU:
		memcpy(out, rule->key.data, rule->key.len + 1);
	}
	return NULL;
}

const char *acl_rule_error(enum acl_rule_kind kind, const char *text)
{
	struct acl_rule rule = {.kind = kind, .key = span_of_string(text)};
	char *out = malloc(rule.key.len + 1);
	const char *error = out ? acl_rule_compile(&rule, out) : "out of memory";
	free(out);
	return error;
}
