#include "route/acl/acl.h"

#include "config/acl_rule.h"
#include "wire/server_name.h"

#include <stdio.h>
#include <stdlib.h>

struct acl {
	size_t count;
	size_t longest_below;    /* the longest key among ACL_RULE_BELOW */
	struct acl_rule rules[]; /* sorted, each once; their text follows */
};

static int compare_rules(const void *a, const void *b)
{
	const struct acl_rule *one = a, *other = b;
	if (one->kind != other->kind)
		return one->kind < other->kind ? -1 : 1;
	size_t shorter = one->key.len < other->key.len ? one->key.len : other->key.len;
	int order = shorter ? memcmp(one->key.data, other->key.data, shorter) : 0;
	if (order != 0 || one->key.len == other->key.len)
		return order;
	return one->key.len < other->key.len ? -1 : 1;
}

/* Returns how much of `room` the rule took; 0 with `err` when it is none. */
static size_t add_rule(struct acl *acl, size_t field, const char *text, char *room, struct err *err)
{
	struct acl_rule rule = {acl_field_at(field)->kind, span_of_string(text), room};
	size_t size = rule.key.len + 1;
	const char *error = acl_rule_compile(&rule, room);
	if (error) {
		err_set(err, "%s: \"%s\" %s", acl_field_at(field)->name, text, error);
		return 0;
	}
	rule.key.data = (const uint8_t *)room;
	if (rule.kind == ACL_RULE_BELOW && rule.key.len > acl->longest_below)
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

static struct acl *acl_allocate(const struct acl_config *config, char **room)
{
	size_t rules = 0, bytes = 0;
	for (size_t field = 0; field < ACL_FIELDS; field++) {
		const struct strings *strings = acl_config_strings(config, field);
		rules += strings->count;
		for (size_t i = 0; i < strings->count; i++)
			bytes += strlen(strings->items[i]) + 1;
	}
	size_t table = sizeof(struct acl) + rules * sizeof(struct acl_rule);
	struct acl *acl = calloc(1, table + bytes);
	*room = (char *)acl + (acl ? table : 0);
	return acl;
}

struct acl *acl_create(const struct acl_config *config, struct err *err)
{
	char *room;
	struct acl *acl = acl_allocate(config, &room);
	if (!acl) {
		err_no_memory(err);
		return NULL;
	}
	for (size_t field = 0; field < ACL_FIELDS; field++) {
		const struct strings *strings = acl_config_strings(config, field);
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

static const struct acl_rule *find_key(
	const struct acl *acl, enum acl_rule_kind kind, struct span key)
{
	struct acl_rule wanted = {.kind = kind, .key = key};
	return bsearch(&wanted, acl->rules, acl->count, sizeof *acl->rules, compare_rules);
}

/* A wildcard rule covers as server_name_covered has it: the one that can is looked up by name. */
static const struct acl_rule *find_dns(const struct acl *acl, struct span value)
{
	struct server_name name;
	if (memchr(value.data, '*', value.len) || server_name_parse(value, &name))
		return NULL;
	const struct acl_rule *rule = find_key(acl, ACL_RULE_DNS, span_of(name.text, name.len));
	const char *dot = strchr(name.text, '.');
	if (rule || !dot)
		return rule;
	char wildcard[SERVER_NAME_MAX + 2];
	size_t len = (size_t)snprintf(wildcard, sizeof wildcard, "*%s", dot);
	return find_key(acl, ACL_RULE_DNS, span_of(wildcard, len));
}

/* Whoever resolves "." and ".." would find himself somewhere else than below. */
static bool path_climbs(struct span path)
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

static const struct acl_rule *find_uri(const struct acl *acl, struct span value)
{
	const struct acl_rule *rule = find_key(acl, ACL_RULE_URI, value);
	if (rule || acl->longest_below == 0 || path_climbs(value))
		return rule;
	/* Every place where a path below may begin; something has to follow. */
	for (size_t len = 1; len < value.len && len <= acl->longest_below && !rule; len++)
		if (value.data[len - 1] == '/')
			rule = find_key(acl, ACL_RULE_BELOW, span_of(value.data, len));
	return rule;
}

static const struct acl_rule *find_email(const struct acl *acl, struct span value)
{
	char folded[ACL_EMAIL_MAX];
	if (!acl_email_fold(value, folded))
		return NULL;
	return find_key(acl, ACL_RULE_EMAIL, span_of(folded, value.len));
}

static const struct acl_rule *find_value(const struct acl *acl, const struct identity_value *value)
{
	if (!value->is_valid)
		return NULL;
	switch (value->kind) {
	case IDENTITY_CN:
		return find_key(acl, ACL_RULE_CN, value->text);
	case IDENTITY_ORG:
		return find_key(acl, ACL_RULE_ORG, value->text);
	case IDENTITY_OU:
		return find_key(acl, ACL_RULE_OU, value->text);
	case IDENTITY_DNS:
		return find_dns(acl, value->text);
	case IDENTITY_URI:
		return find_uri(acl, value->text);
	case IDENTITY_EMAIL:
		return find_email(acl, value->text);
	}
	return NULL;
}

static const struct acl_rule *find_fingerprint(const struct acl *acl, const uint8_t *fingerprint)
{
	char hex[FINGERPRINT_HEX_SIZE];
	fingerprint_hex(fingerprint, hex);
	return find_key(acl, ACL_RULE_FINGERPRINT, span_of(hex, sizeof hex - 1));
}

static const struct acl_rule *find_rule(const struct acl *acl, const struct identity *identity)
{
	const struct acl_rule *rule = NULL;
	for (size_t i = 0; i < identity->count && !rule; i++)
		rule = find_value(acl, &identity->values[i]);
	if (!rule)
		rule = find_fingerprint(acl, identity->certificate);
	return rule ? rule : find_fingerprint(acl, identity->key);
}

static struct acl_verdict acl_judge(const struct acl *acl, const struct identity *identity)
{
	if (acl->count == 0)
		return (struct acl_verdict){true, NULL, NULL, "there are no rules"};
	if (!identity)
		return (struct acl_verdict){false, NULL, NULL, "no client certificate"};
	const struct acl_rule *rule = find_rule(acl, identity);
	if (!rule)
		return (struct acl_verdict){false, NULL, NULL, "no rule admits this certificate"};
	return (struct acl_verdict){
		true, acl_rule_field(rule->kind), rule->text, "a rule admits it"};
}

bool acl_check(const struct acl *acl, const struct identity *identity, struct acl_verdict *verdict)
{
	*verdict = acl_judge(acl, identity);
	return verdict->is_admitted;
}

void acl_text(const struct acl *acl, char out[ACL_TEXT_MAX])
{
	const size_t closings = sizeof " and 18446744073709551615 more";
	size_t used = 0, i = 0;
	out[0] = '\0';
	for (; i < acl->count; i++) {
		const struct acl_rule *rule = &acl->rules[i];
		size_t room = ACL_TEXT_MAX - closings - used;
		int len = snprintf(out + used, room, "%s%s %s", i ? ", " : "",
			acl_rule_field(rule->kind), rule->text);
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
