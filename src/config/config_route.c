#include "config/config_route.h"

#include "config/acl_rule.h"
#include "config/config_backend.h"
#include "config/config_names.h"
#include "wire/server_name.h"

#include <string.h>

#define CERTS_MAX 16

/* allow_fingerprint: SHA-256, in the forms that openssl and ssh-keygen print. */
static const char *item_fingerprint(
	struct reader *reader, const struct place *place, const char *text)
{
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	const char *at = strncasecmp(text, "sha256:", 7) == 0 ? text + 7 : text;
	char *out = reader_alloc(reader, 65, 1);
	size_t used = 0;
	for (; out && *at && used < 64; at++) {
		const char *digit = strchr(lower, *at);
		if (!digit && (digit = strchr(upper, *at)))
			digit = lower + (digit - upper);
		if (digit)
			out[used++] = *digit;
		else if (*at != ':' || used % 2 != 0 || used == 0 || at[-1] == ':')
			break;
	}
	if (!out || (used == 64 && *at == '\0'))
		return out;
	place_error(place, reader->report,
		"expected a SHA-256 fingerprint of 64 hexadecimal digits, with or without colons");
	return NULL;
}

/* A copy of a rule that means something. */
static const char *item_rule(
	struct reader *reader, const struct place *place, enum acl_rule_kind kind, const char *text)
{
	const char *copy = item_text(reader, place, text);
	const char *wrong = copy ? acl_rule_error(kind, text) : NULL;
	char quoted[128];
	if (!wrong)
		return copy;
	place_quote(text, quoted, sizeof quoted);
	place_error(place, reader->report, "%s %s", quoted, wrong);
	return NULL;
}

/* allow_dns: in the form that the names of certificates are compared in. */
static const char *item_dns_name(struct reader *reader, const struct place *place, const char *text)
{
	struct server_name name;
	if (!item_rule(reader, place, ACL_RULE_DNS, text) ||
		server_name_parse_pattern(span_of_string(text), &name) != NULL)
		return NULL;
	return reader_copy(reader, name.text);
}

static const char *item_uri(struct reader *reader, const struct place *place, const char *text)
{
	return item_rule(reader, place, ACL_RULE_URI, text);
}

static const char *item_email(struct reader *reader, const struct place *place, const char *text)
{
	return item_rule(reader, place, ACL_RULE_EMAIL, text);
}

static const struct choice modes[] = {
	{"terminate", MODE_TERMINATE}, {"passthrough", MODE_PASSTHROUGH}, {0}};
static const struct choice client_auths[] = {{"none", CLIENT_AUTH_NONE},
	{"optional", CLIENT_AUTH_OPTIONAL}, {"required", CLIENT_AUTH_REQUIRED}, {0}};

const char *mode_name(enum route_mode mode)
{
	return choice_text(modes, mode);
}

const char *client_auth_name(enum client_auth client_auth)
{
	return choice_text(client_auths, client_auth);
}

/* Nobody, or everybody? It is read as either. */
static void rules_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	if (cJSON_IsArray(value) && cJSON_GetArraySize(value) == 0)
		place_error(place, reader->report,
			"the list is empty: leave the field out to admit every verified certificate, "
			"or list whom to admit");
	else
		field_strings(reader, field, place, value, out);
}

static const struct field acl_fields[] = {
	{"allow_cn", rules_field, FIELD_AT(struct acl_config, allow_cn)},
	{"allow_org", rules_field, FIELD_AT(struct acl_config, allow_org)},
	{"allow_ou", rules_field, FIELD_AT(struct acl_config, allow_ou)},
	{"allow_dns", rules_field, FIELD_AT(struct acl_config, allow_dns), .item = item_dns_name},
	{"allow_uri", rules_field, FIELD_AT(struct acl_config, allow_uri), .item = item_uri},
	{"allow_email", rules_field, FIELD_AT(struct acl_config, allow_email), .item = item_email},
	{"allow_fingerprint", rules_field, FIELD_AT(struct acl_config, allow_fingerprint),
		.item = item_fingerprint},
	{0},
};

/* An entry's "acl" takes the place of its host's as a whole. */
static void acl_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	*(struct acl_config *)out = (struct acl_config){0};
	field_object(reader, field, place, value, out);
}

#define FOR_AUTH (FIELD_TERMINATE | FIELD_AUTH)

/* The first line is the host's alone; from the second on they are an "alpn" entry's too. */
static const struct field host_fields[] = {
	{"alpn", field_later, .offset = 0},
	{"mode", field_choice, FIELD_AT(struct route_config, mode), .traits = FIELD_IS_MODE,
		.choices = modes},
	{"backend", backend_field, FIELD_AT(struct route_config, backend),
		.traits = FIELD_IS_BACKEND},
	{"cert", field_strings, FIELD_AT(struct route_config, cert),
		.traits = FIELD_TERMINATE | FIELD_IS_CERT, .min = 1, .max = CERTS_MAX,
		.item = item_path},
	{"key", field_strings, FIELD_AT(struct route_config, key),
		.traits = FIELD_TERMINATE | FIELD_IS_KEY, .min = 1, .max = CERTS_MAX,
		.item = item_path},
	{"min_version", field_tls_version, FIELD_AT(struct route_config, min_version),
		.traits = FIELD_TERMINATE},
	{"client_auth", field_choice, FIELD_AT(struct route_config, client_auth),
		.traits = FIELD_TERMINATE | FIELD_IS_CLIENT_AUTH, .choices = client_auths},
	{"ca", field_strings, FIELD_AT(struct route_config, ca), .traits = FOR_AUTH | FIELD_IS_CA,
		.min = 1, .item = item_path},
	{"crl", field_strings, FIELD_AT(struct route_config, crl), .traits = FOR_AUTH, .min = 1,
		.item = item_path},
	{"expired_crl", field_expired_crl, FIELD_AT(struct route_config, refuse_expired_crl),
		.traits = FOR_AUTH},
	{"verify_depth", field_count, FIELD_AT(struct route_config, verify_depth),
		.traits = FOR_AUTH, .min = 1, .max = 10},
	{"acl", acl_field, FIELD_AT(struct route_config, acl), .traits = FOR_AUTH | FIELD_IS_ACL,
		.fields = acl_fields},
	{"offer_alpn", field_strings, FIELD_AT(struct route_config, offer_alpn),
		.traits = FIELD_TERMINATE, .max = 64, .item = item_alpn_id},
	{"max_connections", field_count, FIELD_AT(struct route_config, max_connections)},
	{"revalidate", field_flag, FIELD_AT(struct route_config, revalidate),
		.traits = FIELD_TERMINATE},
	{0},
};

void route_read_host(struct part *part)
{
	part->given =
		fields_read(part->reader, host_fields, part->place, part->object, part->route);
}

void route_read_entry(struct part *part)
{
	part->given =
		fields_read(part->reader, host_fields + 1, part->place, part->object, part->route);
}

void part_error(const struct part *part, const char *text)
{
	place_error(part->place, part->reader->report, "%s", text);
}

/* The same error in each field that the part itself gives and that has the trait. */
static void error_in_each(const struct part *part, unsigned trait, const char *text)
{
	if (!(part->given.traits & trait))
		return;
	for (const cJSON *member = part->object->child; member; member = member->next) {
		const struct field *field = field_find(host_fields, member->string);
		struct place place = place_member(part->place, member->string);
		if (field && (field->traits & trait))
			place_error(&place, part->reader->report, "%s", text);
	}
}

static const char auth_on_passthrough[] =
	"a passthrough route cannot check who the client is: only \"mode\": \"terminate\" can, "
	"and the server name that a client sends is a hint, not an authorisation";
static const char terminate_only[] =
	"only for \"mode\": \"terminate\": a passthrough route does not decrypt";

static void check_passthrough(const struct part *part)
{
	for (const cJSON *member = part->object->child; member; member = member->next) {
		const struct field *field = field_find(host_fields, member->string);
		struct place place = place_member(part->place, member->string);
		if (!field || !(field->traits & FIELD_TERMINATE))
			continue;
		bool is_auth = field->traits & (FIELD_AUTH | FIELD_IS_CLIENT_AUTH);
		place_error(&place, part->reader->report, "%s",
			is_auth ? auth_on_passthrough : terminate_only);
	}
}

static void check_backend_tls(const struct part *part)
{
	struct place backend = place_member(part->place, "backend");
	struct place tls = place_member(&backend, "tls");
	if (part->route->backend.has_tls && (part->given.traits & FIELD_IS_BACKEND))
		place_error(&tls, part->reader->report, "%s", terminate_only);
}

/* Passed through, TLS is the client's own; else it is ours, and has to be there. */
static void check_backend_starttls(const struct part *part)
{
	struct place backend = place_member(part->place, "backend");
	struct place starttls = place_member(&backend, "starttls");
	if (part->route->backend.starttls && !part->route->backend.has_tls &&
		(part->given.traits & FIELD_IS_BACKEND))
		place_error(&starttls, part->reader->report,
			"\"tls\" is missing beside it: it asks the server for TLS");
}

static void check_certificate(const struct part *part)
{
	size_t certs = part->route->cert.count, keys = part->route->key.count;
	struct place key = place_member(part->place, "key");
	if (part->given.wrong & (FIELD_IS_CERT | FIELD_IS_KEY))
		return;
	if (certs == 0)
		part_error(part, "\"cert\" is missing: \"mode\": \"terminate\" needs it");
	if (keys == 0)
		part_error(part, "\"key\" is missing: \"mode\": \"terminate\" needs it");
	if (certs > 0 && keys > 0 && certs != keys)
		place_error(&key, part->reader->report,
			"expected as many keys as there are certificates, which is %zu, got %zu",
			certs, keys);
}

static const char not_requested[] =
	"has no effect without \"client_auth\": \"required\" or \"optional\"";

/*
 * Said in so many words, "none" switches off what else is there; but rules are meant to keep out.
 */
static void check_without_auth(const struct part *part)
{
	bool is_said = part->given.traits & FIELD_IS_CLIENT_AUTH;
	if (!is_said)
		error_in_each(part, FIELD_AUTH, not_requested);
	else if (acl_config_count(&part->route->acl) > 0)
		error_in_each(part, FIELD_IS_ACL, not_requested);
}

static void check_client_auth(const struct part *part)
{
	if (part->given.wrong & FIELD_IS_CLIENT_AUTH)
		return;
	if (part->route->client_auth == CLIENT_AUTH_NONE)
		check_without_auth(part);
	else if (part->route->ca.count == 0 && !(part->given.wrong & FIELD_IS_CA))
		part_error(part, "\"ca\" is missing: \"client_auth\" needs the CA to trust");
}

/* What must hold between the fields of one route. */
void route_check(const struct part *part)
{
	if (part->route->mode == MODE_PASSTHROUGH) {
		if (part->given.traits & FIELD_TERMINATE)
			check_passthrough(part);
		check_backend_tls(part);
	} else if (part->route->mode == MODE_TERMINATE) {
		check_certificate(part);
		check_client_auth(part);
		check_backend_starttls(part);
	}
}

static void drop_client_auth(struct route_config *route)
{
	route->client_auth = CLIENT_AUTH_NONE;
	route->ca = route->crl = (struct strings){0};
	route->acl = (struct acl_config){0};
}

struct route_config route_default(const struct place *place)
{
	return (struct route_config){
		.place = place, .mode = MODE_UNKNOWN, .min_version = 0x0303, .verify_depth = 4};
}

/* What a passthrough entry cannot use of its host's it does without. */
static void drop_terminate(struct route_config *route)
{
	struct route_config kept = route_default(route->place);
	kept.mode = route->mode;
	kept.has_backend = route->has_backend;
	kept.backend = route->backend;
	kept.backend.has_tls = false;
	kept.backend.tls = (struct client_tls_config){.min_version = 0x0303};
	kept.max_connections = route->max_connections;
	*route = kept;
}

void route_settle_host(struct route_config *route)
{
	if (route->client_auth == CLIENT_AUTH_NONE)
		drop_client_auth(route);
}

/*
 * An entry that says "client_auth": "none" means it. One that merely does not say otherwise, under
 * a host whose "ca" or "acl" nothing uses, would let in whom its author thinks it keeps out.
 */
static void settle_client_auth(const struct part *entry, bool host_is_route)
{
	struct route_config *route = entry->route;
	bool inherits = route->ca.count || route->crl.count || acl_config_count(&route->acl);
	if (route->client_auth != CLIENT_AUTH_NONE)
		return;
	if (inherits && !host_is_route &&
		!(entry->given.traits & (FIELD_AUTH | FIELD_IS_CLIENT_AUTH)))
		part_error(entry,
			"inherits \"ca\", \"crl\" or \"acl\", which have no effect without "
			"\"client_auth\": \"required\" or \"optional\"");
	drop_client_auth(route);
}

void route_settle(const struct part *entry, bool host_is_route)
{
	if (entry->route->mode == MODE_PASSTHROUGH)
		drop_terminate(entry->route);
	else
		settle_client_auth(entry, host_is_route);
}
