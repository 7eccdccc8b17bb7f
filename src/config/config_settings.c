#include "config/config_settings.h"

#include "config/config_forward.h"
#include "config/config_listen.h"
#include "config/read/file.h"
#include "wire/server_name.h"

#include <string.h>

/* "auto" or a number. */
static void workers_field(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, void *out)
{
	if (cJSON_IsString(value) && strcmp(value->valuestring, "auto") == 0)
		*(unsigned *)out = 0;
	else if (cJSON_IsNumber(value))
		field_count(reader, field, place, value, out);
	else
		field_expected(reader, place, "\"auto\" or a number of threads", value);
}

/* A pattern's own wildcards count, those in the directory's name do not. */
static const char *item_pattern(struct reader *reader, const struct place *place, const char *text)
{
	const char *directory = glob_escaped(reader->arena, place->source->directory);
	const char *out = NULL;
	if (!*text) {
		place_error(place, reader->report,
			"expected the path of a file or a pattern, got \"\"");
		return NULL;
	}
	if (*text == '/')
		return reader_copy(reader, text);
	if (directory)
		out = arena_format(reader->arena, "%s/%s", directory, text);
	reader->out_of_memory |= out == NULL;
	return out;
}

/* Addresses are accepted in any case. */
static const char *item_host_header(
	struct reader *reader, const struct place *place, const char *text)
{
	struct server_name name;
	const char *wrong = server_name_parse(span_of_string(text), &name);
	if (!wrong && strpbrk(name.text, ":*"))
		wrong = "holds a \":\" or a \"*\"";
	if (!wrong)
		return reader_copy(reader, name.text);
	place_error(place, reader->report, "expected a host name: this one %s", wrong);
	return NULL;
}

static const struct field admin_fields[] = {
	{"enabled", field_flag, FIELD_AT(struct admin_config, enabled)},
	{"listen", field_text, FIELD_AT(struct admin_config, listen), .item = item_admin_address},
	{"hosts", field_strings, FIELD_AT(struct admin_config, hosts), .item = item_host_header},
	{0},
};

static void admin_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	struct admin_config *admin = out;
	struct place listen = place_member(place, "listen");
	field_object(reader, field, place, value, out);
	admin->where = reader_place_text(reader, &listen);
}

static void listeners_field(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, void *out)
{
	struct config *config = out;
	struct listener_list list = {0};
	listen_field(reader, field, place, value, &list);
	config->listeners = list.items;
	config->listener_count = list.count;
}

static const struct field proxy_fields[] = {
	{"hello_timeout", field_duration, FIELD_AT(struct config, proxy.hello_timeout_ms)},
	{"handshake_timeout", field_duration, FIELD_AT(struct config, proxy.handshake_timeout_ms)},
	{"dial_timeout", field_duration, FIELD_AT(struct config, proxy.dial_timeout_ms)},
	{"idle_timeout", field_duration, FIELD_AT(struct config, proxy.idle_timeout_ms)},
	{"drain_timeout", field_duration, FIELD_AT(struct config, proxy.drain_timeout_ms)},
	{"max_connections", field_count, FIELD_AT(struct config, proxy.max_connections)},
	{"max_per_source", field_count, FIELD_AT(struct config, proxy.max_per_source)},
	{"rate_per_source", field_count, FIELD_AT(struct config, proxy.rate_per_source)},
	{"max_handshakes", field_count, FIELD_AT(struct config, proxy.max_handshakes)},
	{"handshake_rate", field_count, FIELD_AT(struct config, proxy.handshake_rate)},
	{"min_rate", field_count, FIELD_AT(struct config, proxy.min_rate)},
	{0},
};

static const struct field control_fields[] = {
	{"socket", field_text, FIELD_AT(struct config, control_socket), .item = item_path},
	{0},
};

#define LEVEL_CHOICE(level, name, ...) {name, level},
// clang-format off
static const struct choice levels[] = {
	LOG_LEVELS(LEVEL_CHOICE)
	{0},
};
// clang-format on
static const struct choice formats[] = {{"text", false}, {"json", true}, {0}};

static const struct field logging_fields[] = {
	{"level", field_choice, FIELD_AT(struct config, logging.level), .choices = levels},
	{"format", field_choice, FIELD_AT(struct config, logging.json), .choices = formats},
	{0},
};

static const struct field whole_fields[] = {
	{"hosts", field_later, .offset = 0}, /* read one by one, never as a tree */
	{"listen", listeners_field, .offset = 0},
	{"include", field_strings, FIELD_AT(struct config, include_patterns), .item = item_pattern},
	{"workers", workers_field, FIELD_AT(struct config, workers), .min = 1, .max = 1024},
	{"user", field_text, FIELD_AT(struct config, user)},
	{"sandbox", field_flag, FIELD_AT(struct config, sandbox)},
	{"forwards", forwards_field, .offset = 0},
	{"proxy", field_object, .fields = proxy_fields},
	{"health", admin_field, FIELD_AT(struct config, health), .fields = admin_fields},
	{"metrics", admin_field, FIELD_AT(struct config, metrics), .fields = admin_fields},
	{"control", field_object, .fields = control_fields},
	{"logging", field_object, .fields = logging_fields},
	{0},
};

/* An included file has hosts and nothing else: the first line alone. */
static const struct field included_fields[] = {{"hosts", field_later, .offset = 0}, {0}};

void settings_default(struct config *config)
{
	config->sandbox = true;
	config->proxy.hello_timeout_ms = 10000;
	config->proxy.handshake_timeout_ms = 10000;
	config->proxy.dial_timeout_ms = 10000;
	config->proxy.idle_timeout_ms = 3600000;
	config->proxy.drain_timeout_ms = 30000;
	config->health =
		(struct admin_config){.where = "health.listen", .listen = "127.0.0.1:9000"};
	config->metrics =
		(struct admin_config){.where = "metrics.listen", .listen = "127.0.0.1:9001"};
	config->logging.level = LOG_INFO_LEVEL;
}

const struct field *settings_fields(void)
{
	return whole_fields;
}

const struct field *settings_included(void)
{
	return included_fields;
}
