#include "route/config_host.h"

#include "base/hash.h"
#include "route/config_backend.h"
#include "wire/server_name.h"

#include <string.h>

#define ALPN_ENTRIES_MAX 256
#define CERTS_MAX        16

/* What a refused value leaves behind, so that no later check argues from it. */
#define MODE_UNKNOWN ((enum route_mode)0xff)

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

/* allow_dns: in the form that the names of certificates are compared in. */
static const char *item_dns_name(struct reader *reader, const struct place *place, const char *text)
{
	struct server_name name;
	const char *wrong = server_name_parse_pattern(span_of_string(text), &name);
	if (!wrong)
		return reader_copy(reader, name.text);
	place_error(place, reader->report, "expected a DNS name: this one %s", wrong);
	return NULL;
}

static const struct choice modes[] = {
	{"terminate", MODE_TERMINATE}, {"passthrough", MODE_PASSTHROUGH}, {0}};
static const struct choice client_auths[] = {{"none", CLIENT_AUTH_NONE},
	{"optional", CLIENT_AUTH_OPTIONAL}, {"required", CLIENT_AUTH_REQUIRED}, {0}};
static const struct choice expired_crls[] = {{"warn", false}, {"refuse", true}, {0}};

static const struct field acl_fields[] = {
	{"allow_cn", field_strings, FIELD_AT(struct acl_config, allow_cn)},
	{"allow_org", field_strings, FIELD_AT(struct acl_config, allow_org)},
	{"allow_ou", field_strings, FIELD_AT(struct acl_config, allow_ou)},
	{"allow_dns", field_strings, FIELD_AT(struct acl_config, allow_dns), .item = item_dns_name},
	{"allow_uri", field_strings, FIELD_AT(struct acl_config, allow_uri)},
	{"allow_email", field_strings, FIELD_AT(struct acl_config, allow_email)},
	{"allow_fingerprint", field_strings, FIELD_AT(struct acl_config, allow_fingerprint),
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
	{"expired_crl", field_choice, FIELD_AT(struct route_config, refuse_expired_crl),
		.traits = FOR_AUTH, .choices = expired_crls},
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
static const struct field *const entry_fields = host_fields + 1;

/* A host or an entry while it is read. */
struct part {
	struct reader *reader;
	const struct place *place;
	const cJSON *object;
	struct route_config *route;
	struct given given;
};

static void tell_missing(const struct part *part, const char *text)
{
	place_error(part->place, part->reader->report, "%s", text);
}

/* Tells the same of each field that the part itself gives and that has the trait. */
static void tell_each(const struct part *part, unsigned trait, const char *text)
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

static void check_certificate(const struct part *part)
{
	size_t certs = part->route->cert.count, keys = part->route->key.count;
	struct place key = place_member(part->place, "key");
	if (part->given.wrong & (FIELD_IS_CERT | FIELD_IS_KEY))
		return;
	if (certs == 0)
		tell_missing(part, "\"cert\" is missing: \"mode\": \"terminate\" needs it");
	if (keys == 0)
		tell_missing(part, "\"key\" is missing: \"mode\": \"terminate\" needs it");
	if (certs > 0 && keys > 0 && certs != keys)
		place_error(&key, part->reader->report,
			"expected as many keys as there are certificates, which is %zu, got %zu",
			certs, keys);
}

static void check_client_auth(const struct part *part)
{
	if (part->given.wrong & FIELD_IS_CLIENT_AUTH)
		return;
	if (part->route->client_auth == CLIENT_AUTH_NONE)
		tell_each(part, FIELD_AUTH,
			"has no effect without \"client_auth\": \"required\" or \"optional\"");
	else if (part->route->ca.count == 0 && !(part->given.wrong & FIELD_IS_CA))
		tell_missing(part, "\"ca\" is missing: \"client_auth\" needs the CA to trust");
}

/* What must hold between the fields of one route. */
static void check_route(const struct part *part)
{
	if (part->route->mode == MODE_PASSTHROUGH) {
		if (part->given.traits & FIELD_TERMINATE)
			check_passthrough(part);
		check_backend_tls(part);
	} else if (part->route->mode == MODE_TERMINATE) {
		check_certificate(part);
		check_client_auth(part);
	}
}

static bool has_acl(const struct acl_config *acl)
{
	return acl->allow_cn.count || acl->allow_org.count || acl->allow_ou.count ||
		acl->allow_dns.count || acl->allow_uri.count || acl->allow_email.count ||
		acl->allow_fingerprint.count;
}

static void drop_client_auth(struct route_config *route)
{
	route->client_auth = CLIENT_AUTH_NONE;
	route->ca = route->crl = (struct strings){0};
	route->acl = (struct acl_config){0};
}

static struct route_config route_defaults(const struct place *place)
{
	return (struct route_config){
		.place = place, .mode = MODE_UNKNOWN, .min_version = 0x0303, .verify_depth = 4};
}

/* What a passthrough entry cannot use of its host's it does without. */
static void drop_terminate(struct route_config *route)
{
	struct route_config kept = route_defaults(route->place);
	kept.mode = route->mode;
	kept.has_backend = route->has_backend;
	kept.backend = route->backend;
	kept.backend.has_tls = false;
	kept.backend.tls = (struct client_tls_config){.min_version = 0x0303};
	kept.max_connections = route->max_connections;
	*route = kept;
}

/*
 * An entry that says "client_auth": "none" means it. One that merely does not say otherwise, under
 * a host whose "ca" or "acl" nothing uses, would let in whom its author thinks it keeps out.
 */
static void settle_client_auth(const struct part *entry, const struct host_config *host)
{
	struct route_config *route = entry->route;
	bool inherits = route->ca.count || route->crl.count || has_acl(&route->acl);
	if (route->client_auth != CLIENT_AUTH_NONE)
		return;
	if (inherits && !host->has_route &&
		!(entry->given.traits & (FIELD_AUTH | FIELD_IS_CLIENT_AUTH)))
		tell_missing(entry,
			"inherits \"ca\", \"crl\" or \"acl\", which have no effect without "
			"\"client_auth\": \"required\" or \"optional\"");
	drop_client_auth(route);
}

static void read_entry(
	struct part *entry, const struct part *host_part, const struct host_config *host)
{
	struct route_config *route = entry->route;
	*route = host->route;
	route->place = entry->place;
	if (cJSON_GetObjectItemCaseSensitive(entry->object, "cert") ||
		cJSON_GetObjectItemCaseSensitive(entry->object, "key"))
		route->cert = route->key = (struct strings){0};
	entry->given = fields_read(entry->reader, entry_fields, entry->place, entry->object, route);
	entry->given.wrong |= host_part->given.wrong & ~entry->given.traits;
	route->has_backend |= (entry->given.traits & FIELD_IS_BACKEND) != 0;
	if (route->mode == MODE_UNKNOWN && !(entry->given.wrong & FIELD_IS_MODE))
		tell_missing(
			entry, "\"mode\" is missing: expected \"terminate\" or \"passthrough\"");
	if (!route->has_backend)
		tell_missing(entry, "\"backend\" is missing");
	check_route(entry);
	if (route->mode == MODE_PASSTHROUGH)
		drop_terminate(route);
	else
		settle_client_auth(entry, host);
}

static bool take_id(struct reader *reader, const struct place *place, struct host_config *host)
{
	uint8_t id[255];
	size_t len;
	if (!alpn_decode(place->key, id, &len)) {
		place_error(place, reader->report,
			"expected an ALPN id of 1 to 255 bytes, \"%%\" written as \"%%25\"");
		return false;
	}
	for (size_t i = 0; i < host->alpn_count; i++) {
		if (span_equal(host->alpn[i].id, span_of(id, len))) {
			place_error(place, reader->report, "duplicate key");
			return false;
		}
	}
	uint8_t *copy = reader_alloc(reader, len, 1);
	if (copy)
		host->alpn[host->alpn_count].id = span_of(memcpy(copy, id, len), len);
	return copy != NULL;
}

static void add_entry(const struct part *host_part, const struct place *place, const cJSON *value,
	struct host_config *host)
{
	struct part entry = {.reader = host_part->reader, .place = place, .object = value};
	if (!take_id(entry.reader, place, host))
		return;
	if (!cJSON_IsObject(value)) {
		field_expected(entry.reader, place, "an object", value);
		return;
	}
	entry.route = &host->alpn[host->alpn_count++].route;
	read_entry(&entry, host_part, host);
}

/* `alpn` and the places made here are pointed to for as long as the host is lent. */
static void read_alpn(const struct part *host_part, const struct place *alpn, const cJSON *object,
	struct host_config *host)
{
	struct reader *reader = host_part->reader;
	int count = cJSON_GetArraySize(object);
	if (!cJSON_IsObject(object) || count > ALPN_ENTRIES_MAX) {
		field_expected(reader, alpn, "an object of at most 256 ALPN ids", object);
		return;
	}
	host->alpn = reader_alloc(reader, (size_t)count, sizeof *host->alpn);
	struct place *places = reader_alloc(reader, (size_t)count, sizeof *places);
	if (!host->alpn || !places)
		return;
	for (const cJSON *member = object->child; member; member = member->next, places++) {
		*places = place_member(alpn, member->string);
		places->is_name = true;
		places->nth = field_nth(object, member);
		places->heir_of = host_part->place;
		add_entry(host_part, places, member, host);
	}
}

static void read_fields(struct part *part, const struct place *alpn_place, struct host_config *host)
{
	const cJSON *alpn = cJSON_GetObjectItemCaseSensitive(part->object, "alpn");
	part->given =
		fields_read(part->reader, host_fields, part->place, part->object, part->route);
	part->route->has_backend = (part->given.traits & FIELD_IS_BACKEND) != 0;
	host->has_route = part->route->has_backend || !alpn || !alpn->child;
	if (host->has_route) {
		if (!(part->given.traits & FIELD_IS_MODE))
			tell_missing(part,
				"\"mode\" is missing: expected \"terminate\" or \"passthrough\"");
		if (!part->route->has_backend)
			tell_missing(part, "\"backend\" is missing");
		check_route(part);
	}
	if (alpn)
		read_alpn(part, alpn_place, alpn, host);
	if (part->route->mode == MODE_UNKNOWN)
		part->route->mode = MODE_TERMINATE;
}

static const char *misnamed(const char *text, struct server_name *out)
{
	const char *wrong = server_name_parse_pattern(span_of_string(text), out);
	if (wrong)
		return wrong;
	for (const char *c = out->text; *c; c++) {
		bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' ||
			*c == '.' || *c == '_';
		if (!is_plain && *c == '*' && (c != out->text || (c[1] != '.' && c[1] != '\0')))
			return "has a \"*\" that is not its whole first label";
		if (!is_plain && *c != '*')
			return "holds more than letters, digits, \"-\", \"_\" and \".\" "
			       "(an international name is written in its \"xn--\" form)";
	}
	return NULL;
}

#define DIGEST_BLOCK 512

/*
 * Over the text without the white space between its tokens, and over the directory, because the
 * same text names other files elsewhere. The key is fixed: digests are compared, never looked up.
 */
static uint64_t digest(const struct source *source, size_t from, size_t to)
{
	char block[DIGEST_BLOCK];
	size_t used = 0;
	bool in_string = false;
	struct hash_key key = {0,
		hash_bytes((struct hash_key){0, 0}, source->directory, strlen(source->directory))};
	for (size_t i = from; i < to; i++) {
		char c = source->text[i];
		bool is_space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
		if (is_space && !in_string)
			continue;
		if (c == '"')
			in_string = !in_string;
		if (used + 2 > sizeof block) {
			key.k0 = hash_bytes(key, block, used);
			used = 0;
		}
		block[used++] = c;
		if (c == '\\' && i + 1 < to)
			block[used++] = source->text[++i];
	}
	return hash_bytes(key, block, used);
}

bool host_read(const struct host_reading *reading, const cJSON *value)
{
	struct reader *reader = reading->reader;
	const struct place *place = reading->place;
	unsigned errors = reader->report->errors;
	struct server_name name;
	struct place alpn = place_member(place, "alpn");
	struct host_config host = {.name = name.text, .route = route_defaults(place)};
	struct part part = {
		.reader = reader, .place = place, .object = value, .route = &host.route};
	const char *wrong = misnamed(place->key, &name);
	if (wrong)
		place_error(place, reader->report,
			"expected a host name, or \"*.\" and a host name, or \"*\": this one %s",
			wrong);
	if (cJSON_IsObject(value))
		read_fields(&part, &alpn, &host);
	else
		field_expected(reader, place, "an object", value);
	if (reader->report->errors != errors || reader->out_of_memory)
		return false;
	if (!reading->on_host)
		return true;
	host.file = place->source->name;
	host.line = source_line(place->source, place->at);
	host.digest = digest(place->source, place->value_at, reading->end);
	reading->on_host(reading->owner, &host);
	return true;
}
