#include "route/acl.h"

#include "wire/server_name.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define EMAIL_MAX 320 /* RFC 3696 errata 1690: 64 of the local part, "@", 255 of the domain */

enum rule_kind {
	RULE_CN,
	RULE_ORG,
	RULE_OU,
	RULE_DNS,
	RULE_URI,
	RULE_BELOW,
	RULE_EMAIL,
	RULE_PRINT
};

struct rule {
	enum rule_kind kind;
	struct span key;  /* in canonical form; of "…/" and "*" without the "*" */
	const char *text; /* the key, and the "*" */
};

struct acl {
	size_t count;
	size_t longest_below; /* the longest key among RULE_BELOW */
	struct rule rules[];  /* sorted, each once; their text follows */
};

static const struct {
	const char *field;
	enum rule_kind kind;
	size_t offset;
} fields[] = {
	{"allow_cn", RULE_CN, offsetof(struct acl_config, allow_cn)},
	{"allow_org", RULE_ORG, offsetof(struct acl_config, allow_org)},
	{"allow_ou", RULE_OU, offsetof(struct acl_config, allow_ou)},
	{"allow_dns", RULE_DNS, offsetof(struct acl_config, allow_dns)},
	{"allow_uri", RULE_URI, offsetof(struct acl_config, allow_uri)},
	{"allow_email", RULE_EMAIL, offsetof(struct acl_config, allow_email)},
	{"allow_fingerprint", RULE_PRINT, offsetof(struct acl_config, allow_fingerprint)},
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

static const struct strings *strings_of(const struct acl_config *config, size_t field)
{
	return (const struct strings *)(const void *)((const char *)config + fields[field].offset);
}

static const char *field_of(enum rule_kind kind)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (fields[i].kind == (kind == RULE_BELOW ? RULE_URI : kind))
			return fields[i].field;
	return NULL;
}

static int compare_rules(const void *a, const void *b)
{
	const struct rule *one = a, *other = b;
	if (one->kind != other->kind)
		return one->kind < other->kind ? -1 : 1;
	size_t shorter = one->key.len < other->key.len ? one->key.len : other->key.len;
	int order = shorter ? memcmp(one->key.data, other->key.data, shorter) : 0;
	if (order != 0 || one->key.len == other->key.len)
		return order;
	return one->key.len < other->key.len ? -1 : 1;
}

/* Canonical forms. Each is written to `out` and is never longer than what it is made from. */

/* False for what is no address: no "@" with something on both sides, or too long. */
static bool fold_email(struct span raw, char *out)
{
	if (raw.len > EMAIL_MAX)
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

static const char *compile_dns(struct rule *rule, char *out)
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

static const char *compile_uri(struct rule *rule, char *out)
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
	rule->kind = RULE_BELOW;
	rule->key.len--;
	return NULL;
}

static const char *compile_print(struct rule *rule, char *out)
{
	size_t digits = strspn((const char *)rule->key.data, "0123456789abcdef");
	if (digits != rule->key.len || digits + 1 != FINGERPRINT_HEX_SIZE)
		return "is not 64 lower-case hex digits";
	memcpy(out, rule->key.data, digits + 1);
	return NULL;
}

static const char *compile_email(struct rule *rule, char *out)
{
	out[rule->key.len] = '\0';
	return fold_email(rule->key, out) ? NULL : "is not an email address";
}

/* NULL, or what is wrong with the rule, as words that fit behind its text. */
static const char *compile_rule(struct rule *rule, char *out)
{
	if (rule->key.len == 0)
		return "is empty";
	switch (rule->kind) {
	case RULE_DNS:
		return compile_dns(rule, out);
	case RULE_URI:
	case RULE_BELOW:
		return compile_uri(rule, out);
	case RULE_EMAIL:
		return compile_email(rule, out);
	case RULE_PRINT:
		return compile_print(rule, out);
	case RULE_CN:
	case RULE_ORG:
	case RULE_OU:
		memcpy(out, rule->key.data, rule->key.len + 1);
	}
	return NULL;
}

const char *acl_rule_error(const char *field, const char *text)
{
	struct rule rule = {.key = span_of_string(text)};
	size_t at = 0;
	while (at < FIELDS && strcmp(fields[at].field, field) != 0)
		at++;
	char *room = malloc(rule.key.len + 1);
	if (at == FIELDS || !room) {
		free(room);
		return room ? "is no rule" : "out of memory";
	}
	rule.kind = fields[at].kind;
	const char *error = compile_rule(&rule, room);
	free(room);
	return error;
}

/* Returns how much of `room` the rule took; 0 with `err` when it is none. */
static size_t add_rule(struct acl *acl, size_t field, const char *text, char *room, struct err *err)
{
	struct rule rule = {fields[field].kind, span_of_string(text), room};
	size_t size = rule.key.len + 1;
	const char *error = compile_rule(&rule, room);
	if (error) {
		err_set(err, "%s: \"%s\" %s", fields[field].field, text, error);
		return 0;
	}
	rule.key.data = (const uint8_t *)room;
	if (rule.kind == RULE_BELOW && rule.key.len > acl->longest_below)
		acl->longest_below = rule.key.len;
	acl->rules[acl->count++] = rule;
	return size;
}

static void sort_rules(struct acl *acl)
{
	size_t kept = 0;
	qsort(acl->rules, acl->count, sizeof *acl->rules, compare_rules);
	for (size_t i = 0; i < acl->count; i++)
		if (kept == 0 || compare_rules(&acl->rules[kept - 1], &acl->rules[i]) != 0)
			acl->rules[kept++] = acl->rules[i];
	acl->count = kept;
}

static struct acl *allocate(const struct acl_config *config, char **room)
{
	size_t rules = 0, bytes = 0;
	for (size_t field = 0; field < FIELDS; field++) {
		const struct strings *strings = strings_of(config, field);
		rules += strings->count;
		for (size_t i = 0; i < strings->count; i++)
			bytes += strlen(strings->items[i]) + 1;
	}
	size_t table = sizeof(struct acl) + rules * sizeof(struct rule);
	struct acl *acl = calloc(1, table + bytes);
	*room = (char *)acl + (acl ? table : 0);
	return acl;
}

struct acl *acl_create(const struct acl_config *config, struct err *err)
{
	char *room;
	struct acl *acl = allocate(config, &room);
	if (!acl) {
		err_set(err, "out of memory");
		return NULL;
	}
	for (size_t field = 0; field < FIELDS; field++) {
		const struct strings *strings = strings_of(config, field);
		for (size_t i = 0; i < strings->count; i++) {
			size_t used = add_rule(acl, field, strings->items[i], room, err);
			if (used == 0) {
				acl_free(acl);
				return NULL;
			}
			room += used;
		}
	}
	sort_rules(acl);
	return acl;
}

void acl_free(struct acl *acl)
{
	free(acl);
}

/* Matching. */

static const struct rule *find(const struct acl *acl, enum rule_kind kind, struct span key)
{
	struct rule wanted = {.kind = kind, .key = key};
	return bsearch(&wanted, acl->rules, acl->count, sizeof *acl->rules, compare_rules);
}

/* A wildcard rule covers as server_name_covered has it: the one that can is looked up by name. */
static const struct rule *find_dns(const struct acl *acl, struct span value)
{
	struct server_name name;
	if (memchr(value.data, '*', value.len) || server_name_parse(value, &name))
		return NULL;
	const struct rule *rule = find(acl, RULE_DNS, span_of(name.text, name.len));
	const char *dot = strchr(name.text, '.');
	if (rule || !dot)
		return rule;
	char wildcard[SERVER_NAME_MAX + 2];
	size_t len = (size_t)snprintf(wildcard, sizeof wildcard, "*%s", dot);
	return find(acl, RULE_DNS, span_of(wildcard, len));
}

/* Whoever resolves "." and ".." would find himself somewhere else than below. */
static bool climbs(struct span path)
{
	size_t start = 0;
	for (size_t i = 0; i <= path.len; i++) {
		if (i < path.len && path.data[i] != '/')
			continue;
		size_t len = i - start;
		if (len <= 2 && len > 0 && memcmp(path.data + start, "..", len) == 0)
			return true;
		start = i + 1;
	}
	return false;
}

static const struct rule *find_uri(const struct acl *acl, struct span value)
{
	const struct rule *rule = find(acl, RULE_URI, value);
	if (rule || acl->longest_below == 0 || climbs(value))
		return rule;
	/* Every place where a path below may begin; something has to follow. */
	for (size_t len = 1; len < value.len && len <= acl->longest_below && !rule; len++)
		if (value.data[len - 1] == '/')
			rule = find(acl, RULE_BELOW, span_of(value.data, len));
	return rule;
}

static const struct rule *find_email(const struct acl *acl, struct span value)
{
	char folded[EMAIL_MAX];
	if (!fold_email(value, folded))
		return NULL;
	return find(acl, RULE_EMAIL, span_of(folded, value.len));
}

static const struct rule *find_value(const struct acl *acl, const struct identity_value *value)
{
	if (!value->is_valid)
		return NULL;
	switch (value->kind) {
	case IDENTITY_CN:
		return find(acl, RULE_CN, value->text);
	case IDENTITY_ORG:
		return find(acl, RULE_ORG, value->text);
	case IDENTITY_OU:
		return find(acl, RULE_OU, value->text);
	case IDENTITY_DNS:
		return find_dns(acl, value->text);
	case IDENTITY_URI:
		return find_uri(acl, value->text);
	case IDENTITY_EMAIL:
		return find_email(acl, value->text);
	}
	return NULL;
}

static const struct rule *find_print(const struct acl *acl, const uint8_t *fingerprint)
{
	char hex[FINGERPRINT_HEX_SIZE];
	fingerprint_hex(fingerprint, hex);
	return find(acl, RULE_PRINT, span_of(hex, sizeof hex - 1));
}

static const struct rule *find_rule(const struct acl *acl, const struct identity *identity)
{
	const struct rule *rule = NULL;
	for (size_t i = 0; i < identity->count && !rule; i++)
		rule = find_value(acl, &identity->values[i]);
	if (!rule)
		rule = find_print(acl, identity->certificate);
	return rule ? rule : find_print(acl, identity->key);
}

static struct acl_verdict judge(const struct acl *acl, const struct identity *identity)
{
	if (acl->count == 0)
		return (struct acl_verdict){true, NULL, NULL, "there are no rules"};
	if (!identity)
		return (struct acl_verdict){false, NULL, NULL, "no client certificate"};
	const struct rule *rule = find_rule(acl, identity);
	if (!rule)
		return (struct acl_verdict){false, NULL, NULL, "no rule admits this certificate"};
	return (struct acl_verdict){true, field_of(rule->kind), rule->text, "a rule admits it"};
}

bool acl_check(const struct acl *acl, const struct identity *identity, struct acl_verdict *verdict)
{
	*verdict = judge(acl, identity);
	return verdict->is_admitted;
}

void acl_text(const struct acl *acl, char out[ACL_TEXT_MAX])
{
	const size_t closings = sizeof " and 18446744073709551615 more";
	size_t used = 0, i = 0;
	out[0] = '\0';
	for (; i < acl->count; i++) {
		const struct rule *rule = &acl->rules[i];
		size_t room = ACL_TEXT_MAX - closings - used;
		int len = snprintf(out + used, room, "%s%s %s", i ? ", " : "", field_of(rule->kind),
			rule->text);
		if (len < 0 || (size_t)len >= room)
			break;
		used += (size_t)len;
	}
	out[used] = '\0';
	if (i < acl->count)
		snprintf(out + used, ACL_TEXT_MAX - used, "%s%zu %s", i ? " and " : "",
			acl->count - i, i ? "more" : "rules");
}

bool acl_equal(const struct acl *a, const struct acl *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (compare_rules(&a->rules[i], &b->rules[i]) != 0)
			return false;
	return true;
}
