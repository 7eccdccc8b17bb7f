#include "config/config_host.h"

#include "base/hash.h"
#include "config/config_backend.h"
#include "config/config_route.h"
#include "wire/server_name.h"

#include <string.h>

#define ALPN_ENTRIES_MAX 256

static void read_entry(
	struct part *entry, const struct part *host_part, const struct host_config *host)
{
	struct route_config *route = entry->route;
	*route = host->route;
	route->place = entry->place;
	if (cJSON_GetObjectItemCaseSensitive(entry->object, "cert") ||
		cJSON_GetObjectItemCaseSensitive(entry->object, "key"))
		route->cert = route->key = (struct strings){0};
	route_read_entry(entry);
	entry->given.wrong |= host_part->given.wrong & ~entry->given.traits;
	route->has_backend |= (entry->given.traits & FIELD_IS_BACKEND) != 0;
	if (route->mode == MODE_UNKNOWN && !(entry->given.wrong & FIELD_IS_MODE))
		part_error(entry, "\"mode\" is missing: expected \"terminate\" or \"passthrough\"");
	if (!route->has_backend)
		part_error(entry, "\"backend\" is missing");
	route_check(entry);
	route_settle(entry, host->has_route);
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
	route_read_host(part);
	part->route->has_backend = (part->given.traits & FIELD_IS_BACKEND) != 0;
	host->has_route = part->route->has_backend || !alpn || !alpn->child;
	if (host->has_route) {
		if (!(part->given.traits & FIELD_IS_MODE))
			part_error(part,
				"\"mode\" is missing: expected \"terminate\" or \"passthrough\"");
		if (!part->route->has_backend)
			part_error(part, "\"backend\" is missing");
		route_check(part);
	}
	if (alpn)
		read_alpn(part, alpn_place, alpn, host);
	route_settle_host(part->route);
	if (part->route->mode == MODE_UNKNOWN)
		part->route->mode = MODE_TERMINATE;
}

static const char *host_name_error(const char *text, struct server_name *out)
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
static uint64_t text_digest(const struct source *source, size_t from, size_t to)
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
	struct host_config host = {.name = name.text, .route = route_default(place)};
	struct part part = {
		.reader = reader, .place = place, .object = value, .route = &host.route};
	const char *wrong = host_name_error(place->key, &name);
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
	host.digest = text_digest(place->source, place->value_at, reading->end);
	reading->on_host(reading->owner, &host);
	return true;
}
