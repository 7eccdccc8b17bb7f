#include "config/client/client_config.h"

#include "base/json_scan.h"
#include "config/config_backend.h"
#include "config/read/fields.h"
#include "config/read/file.h"
#include "net/address.h"
#include "tls/cert/client_key.h"
#include "tls/cert/pin.h"
#include "wire/server_name.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTINGS_SIZE_MAX ((size_t)1 << 20)
#define DAY_MS            (24 * 3600 * 1000)

const struct client_config client_config_nothing = {
	.connect_timeout_ms = CLIENT_UNSAID, .keepalive_ms = CLIENT_UNSAID};

void client_config_overlay(struct client_config *config, const struct client_config *over)
{
	if (over->gateway)
		config->gateway = over->gateway;
	if (over->sni)
		config->sni = over->sni;
	if (over->alpn.items)
		config->alpn = over->alpn;
	if (over->cert || over->key) {
		config->cert = over->cert;
		config->key = over->key;
		config->passphrase_file = NULL;
	}
	if (over->passphrase_file)
		config->passphrase_file = over->passphrase_file;
	if (over->ca.items)
		config->ca = over->ca;
	if (over->crl.items)
		config->crl = over->crl;
	if (over->expired_crl)
		config->expired_crl = over->expired_crl;
	if (over->pin.items)
		config->pin = over->pin;
	if (over->min_version)
		config->min_version = over->min_version;
	if (over->family)
		config->family = over->family;
	if (over->connect_timeout_ms != CLIENT_UNSAID)
		config->connect_timeout_ms = over->connect_timeout_ms;
	if (over->keepalive_ms != CLIENT_UNSAID)
		config->keepalive_ms = over->keepalive_ms;
}

/* "~/": the user's own, so that a system's file can speak of it. */
static const char *item_own_path(struct reader *reader, const struct place *place, const char *text)
{
	const char *home = getenv("HOME");
	if (strncmp(text, "~/", 2) != 0)
		return item_path(reader, place, text);
	const char *out = arena_format(reader->arena, "%s/%s", home ? home : "", text + 2);
	reader->out_of_memory |= out == NULL;
	return out;
}

static const char *item_key_source(
	struct reader *reader, const struct place *place, const char *text)
{
	return client_key_is_uri(text) ? reader_copy(reader, text)
				       : item_own_path(reader, place, text);
}

static const char *item_gateway(struct reader *reader, const struct place *place, const char *text)
{
	struct endpoint endpoint;
	struct err err;
	if (endpoint_parse_near(text, 443, &endpoint, &err))
		return reader_copy(reader, text);
	place_error(place, reader->report, "%s", err.text);
	return NULL;
}

static const char *item_pin(struct reader *reader, const struct place *place, const char *text)
{
	struct pins pins = {0};
	struct err err;
	if (pins_add(&pins, text, &err))
		return reader_copy(reader, text);
	place_error(place, reader->report, "%s", err.text);
	return NULL;
}

static const struct choice expired_crls[] = {
	{"warn", EXPIRED_CRL_WARN}, {"refuse", EXPIRED_CRL_REFUSE}, {0}};
static const struct choice families[] = {{"ipv4", AF_INET}, {"ipv6", AF_INET6}, {0}};

/* The first two lines are a gateway's alone; from the third on they are the defaults' too. */
static const struct field gateway_fields[] = {
	{"gateway", field_text, FIELD_AT(struct client_config, gateway), .item = item_gateway},
	{"sni", field_text, FIELD_AT(struct client_config, sni), .item = item_peer_name},
	{"alpn", field_strings, FIELD_AT(struct client_config, alpn), .max = 16,
		.item = item_alpn_id},
	{"cert", field_text, FIELD_AT(struct client_config, cert), .item = item_key_source},
	{"key", field_text, FIELD_AT(struct client_config, key), .item = item_key_source},
	{"passphrase_file", field_text, FIELD_AT(struct client_config, passphrase_file),
		.item = item_own_path},
	{"ca", field_strings, FIELD_AT(struct client_config, ca), .min = 1, .max = 64,
		.item = item_own_path},
	{"crl", field_strings, FIELD_AT(struct client_config, crl), .min = 1, .max = 64,
		.item = item_own_path},
	{"expired_crl", field_choice, FIELD_AT(struct client_config, expired_crl),
		.choices = expired_crls},
	{"pin", field_strings, FIELD_AT(struct client_config, pin), .min = 1, .max = PINS_MAX,
		.item = item_pin},
	{"min_version", field_tls_version, FIELD_AT(struct client_config, min_version)},
	{"family", field_choice, FIELD_AT(struct client_config, family), .choices = families},
	{"connect_timeout", field_duration, FIELD_AT(struct client_config, connect_timeout_ms),
		.max = DAY_MS},
	{"keepalive", field_duration, FIELD_AT(struct client_config, keepalive_ms), .max = DAY_MS},
	{0},
};

/* Both are objects that are read once their order in the file does not matter any more. */
static const struct field whole_fields[] = {
	{"defaults", field_later, .offset = 0},
	{"gateways", field_later, .offset = 0},
	{0},
};

/* One file while it is read. */
struct settings {
	struct reader reader;
	struct source source;
	struct server_name name; /* that is looked up; "" when it is none */
	struct client_config *defaults, gateway;
	const char *matched;
	size_t matched_len;
};

static bool pattern_matches(const struct server_name *pattern, const struct server_name *name)
{
	if (pattern->text[0] != '*')
		return strcmp(pattern->text, name->text) == 0;
	size_t tail = pattern->len - 1u;
	if (tail == 0)
		return true; /* "*": addresses too */
	return name->len > tail &&
		memcmp(name->text + name->len - tail, pattern->text + 1, tail) == 0;
}

/* An exact name wins over any pattern, and of patterns the longest. */
static bool is_better(const struct settings *settings, const struct server_name *pattern)
{
	if (!pattern_matches(pattern, &settings->name))
		return false;
	size_t len = pattern->text[0] == '*' ? pattern->len : SERVER_NAME_MAX + 1u;
	return len > settings->matched_len;
}

static void read_gateway(struct settings *settings, const struct place *place, const cJSON *member)
{
	struct client_config config = client_config_nothing;
	struct server_name pattern;
	const char *wrong = server_name_parse_pattern(span_of_string(member->string), &pattern);
	if (wrong)
		place_error(place, settings->reader.report,
			"expected a name, \"*.name\" or \"*\": this one %s", wrong);
	if (!cJSON_IsObject(member)) {
		field_expected(&settings->reader, place, "an object", member);
		return;
	}
	fields_read(&settings->reader, gateway_fields, place, member, &config);
	if (wrong || !is_better(settings, &pattern))
		return;
	settings->gateway = config;
	settings->matched = reader_copy(&settings->reader, member->string);
	settings->matched_len = pattern.text[0] == '*' ? pattern.len : SERVER_NAME_MAX + 1u;
}

static void read_gateways(struct settings *settings, const struct place *root, const cJSON *object)
{
	struct place gateways = place_member(root, "gateways");
	if (!cJSON_IsObject(object)) {
		field_expected(&settings->reader, &gateways,
			"an object with a member for each gateway", object);
		return;
	}
	for (const cJSON *member = object->child; member; member = member->next) {
		struct place place = place_member(&gateways, member->string);
		place.is_name = true;
		place.nth = field_nth(object, member);
		if (place.nth > 0)
			place_error(&place, settings->reader.report, "duplicate name");
		else
			read_gateway(settings, &place, member);
	}
}

static void read_whole(struct settings *settings, const struct place *root, const cJSON *value)
{
	struct place defaults = place_member(root, "defaults");
	struct client_config said = client_config_nothing;
	fields_read(&settings->reader, whole_fields, root, value, &said);
	const cJSON *object = cJSON_GetObjectItemCaseSensitive(value, "defaults");
	if (object && !cJSON_IsObject(object))
		field_expected(&settings->reader, &defaults, "an object", object);
	else if (object)
		fields_read(&settings->reader, gateway_fields + 2, &defaults, object, &said);
	client_config_overlay(settings->defaults, &said);
	object = cJSON_GetObjectItemCaseSensitive(value, "gateways");
	if (object)
		read_gateways(settings, root, object);
}

/* The strict grammar first: what cJSON forgives is an error here, with its line. */
static bool is_valid(struct settings *settings)
{
	struct json json;
	size_t end;
	struct source *source = &settings->source;
	if (json_begin(&json, source->text, source->len) && json_skip(&json, &end) &&
		json_end(&json))
		return true;
	report_error(settings->reader.report, "%s:%u: %s", source->name,
		source_line(source, json.fault_at), json.fault.text);
	return false;
}

static void read_text(struct settings *settings)
{
	struct source *source = &settings->source;
	struct place root = place_root(source);
	if (source->len > SETTINGS_SIZE_MAX) {
		report_error(settings->reader.report, "%s: larger than 1 MiB", source->name);
		return;
	}
	if (!is_valid(settings))
		return;
	cJSON *value = cJSON_ParseWithLengthOpts(source->text, source->len, NULL, false);
	settings->reader.out_of_memory |= value == NULL;
	if (cJSON_IsObject(value))
		read_whole(settings, &root, value);
	else if (value)
		place_error(&root, settings->reader.report,
			"expected an object: { \"defaults\": { ... }, \"gateways\": { ... } }");
	cJSON_Delete(value);
}

static void read_settings(struct settings *settings, const char *path)
{
	struct reader *reader = &settings->reader;
	struct err err;
	char *text;
	const char *absolute = path_absolute(reader->arena, path);
	settings->source.name = path;
	settings->source.directory = absolute ? path_directory(reader->arena, absolute) : NULL;
	reader->out_of_memory |= settings->source.directory == NULL;
	if (reader->out_of_memory)
		return;
	if (!file_read(path, &text, &settings->source.len, &err)) {
		report_error(reader->report, "%s: %s", path, err.text);
		return;
	}
	settings->source.text = text;
	read_text(settings);
	free(text);
}

static void look_in(struct client_lookup *lookup, const char *path, struct report *report)
{
	struct settings settings = {.reader = {.report = report, .arena = lookup->arena},
		.defaults = &lookup->defaults};
	if (!path || access(path, F_OK) < 0)
		return;
	server_name_parse(span_of_string(lookup->name), &settings.name);
	read_settings(&settings, path);
	if (settings.reader.out_of_memory)
		report_error(report, "%s: out of memory", path);
	if (!settings.matched)
		return;
	lookup->gateway = settings.gateway;
	lookup->matched = settings.matched;
	lookup->matched_in = path;
}

bool client_config_look_up(struct client_lookup *lookup, struct report *report)
{
	unsigned errors = report->errors;
	lookup->defaults = lookup->gateway = client_config_nothing;
	lookup->matched = lookup->matched_in = NULL;
	look_in(lookup, lookup->system_path, report);
	look_in(lookup, lookup->user_path, report);
	return report->errors == errors;
}
