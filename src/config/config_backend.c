#include "config/config_backend.h"

#include "config/config_names.h"
#include "config/config_starttls.h"
#include "net/address.h"
#include "wire/server_name.h"

#include <stdio.h>
#include <string.h>

#define SERVERS_MAX 32 /* bits of a session's mask of servers (upstream/backend) */

const char *item_server_address(struct reader *reader, const struct place *place, const char *text)
{
	struct endpoint endpoint;
	struct err err;
	const char *whole = text;
	if (strncmp(text, "unix:", 5) == 0 && text[5] != '\0' && text[5] != '/') {
		whole = arena_format(
			reader->arena, "unix:%s/%s", place->source->directory, text + 5);
		if (!whole) {
			reader->out_of_memory = true;
			return NULL;
		}
	}
	if (!endpoint_parse(whole, &endpoint, &err)) {
		place_error(place, reader->report, "%s", err.text);
		return NULL;
	}
	if (!endpoint.is_unix && endpoint.host[0] == '\0') {
		place_error(place, reader->report,
			"expected a host before the port, as in \"127.0.0.1%s\"", text);
		return NULL;
	}
	return whole == text ? reader_copy(reader, text) : whole;
}

const char *item_peer_name(struct reader *reader, const struct place *place, const char *text)
{
	struct server_name name;
	if (address_is_ip(text))
		return reader_copy(reader, text);
	const char *wrong = server_name_parse(span_of_string(text), &name);
	if (!wrong)
		return reader_copy(reader, name.text);
	place_error(
		place, reader->report, "expected a host name or an IP address: this one %s", wrong);
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool alpn_decode(const char *text, uint8_t out[255], size_t *len)
{
	size_t used = 0;
	while (*text && used < 255) {
		int high = 0, low = 0;
		if (*text != '%') {
			out[used++] = (uint8_t)*text++;
			continue;
		}
		high = hex_digit(text[1]);
		low = high < 0 ? -1 : hex_digit(text[2]);
		if (low < 0)
			return false;
		out[used++] = (uint8_t)(high << 4 | low);
		text += 3;
	}
	*len = used;
	return used > 0 && *text == '\0';
}

const char *item_alpn_id(struct reader *reader, const struct place *place, const char *text)
{
	uint8_t id[255];
	size_t len;
	if (alpn_decode(text, id, &len) && !memchr(id, 0, len)) {
		char *out = reader_alloc(reader, len + 1, 1);
		return out ? memcpy(out, id, len) : NULL;
	}
	place_error(place, reader->report,
		"expected an ALPN id of 1 to 255 bytes such as \"http/1.1\", \"%%\" written as \"%%25\"");
	return NULL;
}

static const struct field server_fields[] = {
	{"address", field_text, FIELD_AT(struct server_config, address), .traits = FIELD_REQUIRED,
		.item = item_server_address},
	{"backup", field_flag, FIELD_AT(struct server_config, backup)},
	{0},
};

static void read_server(struct reader *reader, const struct place *place, const cJSON *value,
	struct server_config *out)
{
	if (cJSON_IsString(value))
		out->address = item_server_address(reader, place, value->valuestring);
	else if (cJSON_IsObject(value))
		fields_read(reader, server_fields, place, value, out);
	else
		field_expected(
			reader, place, "\"host:port\" or {\"address\": \"host:port\"}", value);
}

/* struct backend_config: its servers. */
static void servers_field(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, void *out)
{
	struct backend_config *backend = out;
	unsigned index = 0;
	(void)field;
	if (!cJSON_IsArray(value)) {
		field_expected(reader, place, "a list of servers", value);
		return;
	}
	if (!value->child) {
		place_error(
			place, reader->report, "expected at least one server, got an empty list");
		return;
	}
	backend->count = (size_t)cJSON_GetArraySize(value);
	if (backend->count > SERVERS_MAX) {
		place_error(place, reader->report, "expected at most %d servers, got %zu",
			SERVERS_MAX, backend->count);
		backend->count = 0;
		return;
	}
	backend->servers = reader_alloc(reader, backend->count, sizeof *backend->servers);
	if (!backend->servers)
		return;
	for (const cJSON *item = value->child; item; item = item->next, index++) {
		struct place here = place_item(place, index);
		read_server(reader, &here, item, &backend->servers[index]);
	}
}

void client_pair_check(struct reader *reader, const struct place *place, unsigned traits)
{
	unsigned pair = traits & (FIELD_IS_CERT | FIELD_IS_KEY);
	if (pair == FIELD_IS_CERT)
		place_error(place, reader->report, "\"key\" is missing: \"cert\" needs it");
	if (pair == FIELD_IS_KEY)
		place_error(place, reader->report, "\"cert\" is missing: \"key\" needs it");
}

static const struct field tls_fields[] = {
	{"ca", field_strings, FIELD_AT(struct client_tls_config, ca), .min = 1, .item = item_path},
	{"crl", field_strings, FIELD_AT(struct client_tls_config, crl), .min = 1,
		.item = item_path},
	{"expired_crl", field_expired_crl, FIELD_AT(struct client_tls_config, refuse_expired_crl)},
	{"server_name", field_text, FIELD_AT(struct client_tls_config, server_name),
		.item = item_peer_name},
	{"cert", field_text, FIELD_AT(struct client_tls_config, cert), .traits = FIELD_IS_CERT,
		.item = item_path},
	{"key", field_text, FIELD_AT(struct client_tls_config, key), .traits = FIELD_IS_KEY,
		.item = item_path},
	{"min_version", field_tls_version, FIELD_AT(struct client_tls_config, min_version)},
	{0},
};

static void tls_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	struct backend_config *backend = out;
	(void)field;
	if (!cJSON_IsObject(value)) {
		field_expected(reader, place, "an object", value);
		return;
	}
	backend->has_tls = true;
	struct given given = fields_read(reader, tls_fields, place, value, &backend->tls);
	client_pair_check(reader, place, given.traits);
}

static const struct choice health_kinds[] = {{"tcp", HEALTH_TCP}, {"tls", HEALTH_TLS}, {0}};

#define HEALTH_MIN_MS 10
#define HEALTH_MAX_MS 86400000

static const struct field health_fields[] = {
	{"type", field_choice, FIELD_AT(struct backend_config, health), .choices = health_kinds},
	{"interval", field_duration, FIELD_AT(struct backend_config, health_interval_ms),
		.min = HEALTH_MIN_MS, .max = HEALTH_MAX_MS},
	{"timeout", field_duration, FIELD_AT(struct backend_config, health_timeout_ms),
		.min = HEALTH_MIN_MS, .max = HEALTH_MAX_MS},
	{"rise", field_count, FIELD_AT(struct backend_config, health_rise), .min = 1, .max = 100},
	{"fall", field_count, FIELD_AT(struct backend_config, health_fall), .min = 1, .max = 100},
	{0},
};

static void health_field(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, void *out)
{
	struct backend_config *backend = out;
	backend->health = HEALTH_TCP;
	field_object(reader, field, place, value, out);
}

static const struct choice balances[] = {{"least_connections", BALANCE_LEAST_CONNECTIONS},
	{"round_robin", BALANCE_ROUND_ROBIN}, {"source", BALANCE_SOURCE}, {0}};
static const struct choice proxy_versions[] = {{"v1", PROXY_OUT_V1}, {"v2", PROXY_OUT_V2}, {0}};

const char *balance_name(enum balance balance)
{
	return choice_text(balances, balance);
}

const char *proxy_out_name(enum proxy_out version)
{
	return choice_text(proxy_versions, version);
}

static const struct field backend_fields[] = {
	{"servers", servers_field, .traits = FIELD_REQUIRED, .fields = server_fields},
	{"balance", field_choice, FIELD_AT(struct backend_config, balance), .choices = balances},
	{"tls", tls_field, .fields = tls_fields},
	{"proxy_protocol", field_choice, FIELD_AT(struct backend_config, proxy_protocol),
		.choices = proxy_versions},
	{"starttls", starttls_field, FIELD_AT(struct backend_config, starttls)},
	{"health_check", health_field, .fields = health_fields},
	{0},
};

const struct field *backend_config_fields(void)
{
	return backend_fields;
}

/*
 * Without a name of its own the certificate is checked against the host, which a path has not. The
 * system's roots have no revocation lists to go with them.
 */
void backend_check_tls(
	struct reader *reader, const struct place *place, const struct backend_config *backend)
{
	if (backend->has_tls && backend->tls.crl.count > 0 && backend->tls.ca.count == 0)
		place_error(place, reader->report, "\"ca\" is missing: \"crl\" needs it");
	if (!backend->has_tls || backend->tls.server_name)
		return;
	for (size_t i = 0; i < backend->count; i++) {
		const char *address = backend->servers[i].address;
		if (address && strncmp(address, "unix:", 5) == 0) {
			place_error(place, reader->report,
				"\"server_name\" is missing: %s has no host name to check",
				address);
			return;
		}
	}
}

void backend_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	struct backend_config *backend = out;
	*backend = (struct backend_config){.tls.min_version = 0x0303,
		.health_interval_ms = 5000,
		.health_timeout_ms = 2000,
		.health_rise = 2,
		.health_fall = 3};
	if (cJSON_IsString(value)) {
		backend->servers = reader_alloc(reader, 1, sizeof *backend->servers);
		backend->count = backend->servers ? 1 : 0;
		if (backend->servers)
			read_server(reader, place, value, backend->servers);
	} else if (cJSON_IsArray(value)) {
		servers_field(reader, field, place, value, out);
	} else if (cJSON_IsObject(value)) {
		fields_read(reader, backend_fields, place, value, out);
		struct place tls = place_member(place, "tls");
		backend_check_tls(reader, &tls, backend);
	} else {
		field_expected(reader, place,
			"\"host:port\", a list of them, or an object with \"servers\"", value);
	}
}
