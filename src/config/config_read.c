#include "config/config_read.h"

#include "base/hash.h"
#include "base/json_scan.h"
#include "config/config_host.h"
#include "config/config_listen.h"
#include "config/config_settings.h"
#include "config/read/file.h"

#include <stdlib.h>
#include <string.h>

/* Of one top-level field or one host: what a tree of it may take in memory is bounded so. */
#define VALUE_SIZE_MAX ((size_t)16 << 20)
#define UNKNOWN_MAX    20

/* What a caller of config_read gets the first member of. */
struct owned {
	struct config config;
	struct arena arena;
};

/* One config_read. */
struct reading {
	struct owned *owned;
	struct reader reader;   /* for what lives in the config */
	struct reader for_host; /* for what lives as long as one host is lent */
	struct arena host_arena;
	config_host_fn *on_host;
	void *owner;
	const char *path;
};

/* One file while it is read. */
struct file {
	struct reading *reading;
	struct source source;
	struct json json;
	const struct field *fields; /* besides "hosts" */
	uint64_t seen;
	unsigned unknown;
	bool is_object;
};

static void report_fault(struct file *file)
{
	report_error(file->reading->reader.report, "%s:%u: %s", file->source.name,
		source_line(&file->source, file->json.fault_at), file->json.fault.text);
}

/* The value between two offsets as a tree; NULL, after telling so, when it is too large for one. */
static cJSON *parse_value(struct file *file, const struct place *place, size_t end)
{
	size_t len = end - place->value_at;
	if (len > VALUE_SIZE_MAX) {
		place_error(place, file->reading->reader.report,
			"larger than 16 MiB: split it, or move its parts to \"hosts\"");
		return NULL;
	}
	cJSON *value =
		cJSON_ParseWithLengthOpts(file->source.text + place->value_at, len, NULL, false);
	file->reading->reader.out_of_memory |= value == NULL; /* its grammar is proven */
	return value;
}

static const char *decode_name(struct reading *reading, const struct json_member *member)
{
	char *name = reader_alloc(&reading->for_host, member->name_len + 1, 1);
	if (name)
		json_decode(member->name, member->name_len, name);
	reading->reader.out_of_memory |= name == NULL;
	return name;
}

static struct place known_place(
	const struct place *up, const char *key, const struct json_member *member, size_t value_at)
{
	struct place place = place_member(up, key);
	place.is_known = true;
	place.at = member->at;
	place.value_at = value_at;
	return place;
}

static void read_one_host(struct file *file, const struct place *place, size_t end)
{
	struct reading *reading = file->reading;
	cJSON *value = parse_value(file, place, end);
	struct host_reading host = {.reader = &reading->for_host,
		.place = place,
		.end = end,
		.on_host = reading->on_host,
		.owner = reading->owner};
	if (value && host_read(&host, value))
		reading->owned->config.host_count++;
	cJSON_Delete(value);
	reading->reader.out_of_memory |= reading->for_host.out_of_memory;
}

static void read_hosts(struct file *file, const struct place *hosts)
{
	struct json_member member;
	size_t end;
	if (json_peek(&file->json) != '{') {
		place_error(hosts, file->reading->reader.report,
			"expected an object with a member for each host name");
		json_skip(&file->json, &end);
		return;
	}
	json_enter(&file->json);
	while (json_next(&file->json, &member)) {
		size_t value_at = file->json.at;
		const char *name = decode_name(file->reading, &member);
		if (!name || !json_skip(&file->json, &end))
			return;
		struct place place = known_place(hosts, name, &member, value_at);
		place.is_name = true;
		read_one_host(file, &place, end);
		arena_reset(&file->reading->host_arena);
	}
}

static void read_field(struct file *file, const struct field *field, const struct place *place)
{
	size_t end;
	struct reading *reading = file->reading;
	if (!json_skip(&file->json, &end))
		return;
	cJSON *value = parse_value(file, place, end);
	if (value)
		field->get(&reading->reader, field, place, value,
			(char *)&reading->owned->config + field->offset);
	cJSON_Delete(value);
}

static void report_unknown(struct file *file, const struct place *place)
{
	struct report *report = file->reading->reader.report;
	if (file->unknown++ == UNKNOWN_MAX)
		place_error(place->up, report, "and more unknown keys");
	else if (file->unknown > UNKNOWN_MAX)
		return;
	else if (file->fields == settings_included() && field_find(settings_fields(), place->key))
		place_error(place, report, "an included file has \"hosts\" and nothing else");
	else
		field_unknown(&file->reading->reader, file->fields, place);
}

static void read_member(
	struct file *file, const struct place *root, const struct json_member *member)
{
	size_t end;
	const char *name = decode_name(file->reading, member);
	if (!name)
		return;
	const struct field *field = field_find(file->fields, name);
	/* read_hosts forgets `name`, but not a key of ours. */
	struct place place = known_place(root, field ? field->key : name, member, file->json.at);
	uint64_t bit = field ? (uint64_t)1 << (field - file->fields) : 0;
	if (!field || (file->seen & bit)) {
		if (field)
			place_error(&place, file->reading->reader.report, "duplicate key");
		else
			report_unknown(file, &place);
		json_skip(&file->json, &end);
	} else if (field->get == field_later) {
		read_hosts(file, &place);
	} else {
		read_field(file, field, &place);
	}
	file->seen |= bit;
	arena_reset(&file->reading->host_arena);
}

static void read_text(struct file *file)
{
	struct json *json = &file->json;
	struct json_member member;
	struct place root = place_root(&file->source);
	size_t end;
	if (json_begin(json, file->source.text, file->source.len) && json_peek(json) != '{') {
		if (json_skip(json, &end))
			place_error(&root, file->reading->reader.report,
				"expected an object: { \"hosts\": { ... } }");
	} else if (!json->failed && json_enter(json)) {
		file->is_object = true;
		while (json_next(json, &member)) {
			read_member(file, &root, &member);
			if (file->reading->reader.out_of_memory)
				return;
		}
	}
	if (!json_end(json))
		report_fault(file);
}

static void *check_memory(struct reading *reading, const void *made)
{
	reading->reader.out_of_memory |= made == NULL;
	return (void *)made;
}

/* `name` is for messages, `path` absolute. False when there is no text to look at. */
static bool open_file(struct file *file, const char *name, const char *path)
{
	struct reading *reading = file->reading;
	struct config *config = &reading->owned->config;
	struct err err;
	char *text;
	file->source.name = name;
	file->source.directory =
		check_memory(reading, path_directory(&reading->owned->arena, path));
	config->files.items[config->files.count++] = path;
	if (!file->source.directory)
		return false;
	if (!file_read(path, &text, &file->source.len, &err)) {
		report_error(reading->reader.report, "%s: %s", name, err.text);
		report_cause(reading->reader.report, &err);
		return false;
	}
	file->source.text = text;
	struct hash_key key = {
		config->digest, hash_bytes((struct hash_key){0}, path, strlen(path))};
	config->digest = hash_bytes(key, text, file->source.len);
	return true;
}

static void close_file(struct file *file)
{
	free((char *)file->source.text);
}

/*
 * An included file is named as the pattern was written: relative to where the user
 * named the first.
 */
static const char *name_included(struct reading *reading, const char *path)
{
	struct arena *arena = &reading->owned->arena;
	const char *first = reading->owned->config.files.items[0];
	const char *named = strrchr(reading->path, '/');
	size_t directory = (size_t)(strrchr(first, '/') - first) + 1;
	size_t prefix = named ? (size_t)(named - reading->path) + 1 : 0;
	if (strncmp(first, path, directory) != 0)
		return check_memory(reading, arena_copy(arena, path, strlen(path)));
	return check_memory(reading,
		arena_format(arena, "%.*s%s", (int)prefix, reading->path, path + directory));
}

static void read_included(struct reading *reading, const char *path)
{
	struct file file = {.reading = reading, .fields = settings_included()};
	const char *name = name_included(reading, path);
	const char *copy =
		check_memory(reading, arena_copy(&reading->owned->arena, path, strlen(path)));
	if (name && copy && open_file(&file, name, copy))
		read_text(&file);
	close_file(&file);
}

/* While the first file is at hand, so that messages have a pattern's line. */
static void find_included(struct file *file, struct file_list *list)
{
	struct reading *reading = file->reading;
	struct config *config = &reading->owned->config;
	struct place root = place_root(&file->source);
	struct place include = place_member(&root, "include");
	struct err err;
	for (size_t i = 0; i < config->include_patterns.count; i++) {
		size_t value_at;
		struct place item = place_item(&include, (unsigned)i);
		const struct place *place = place_find(&item, &value_at) ? &item : &include;
		if (files_match(config->include_patterns.items[i], list, &err))
			continue;
		place_error(place, reading->reader.report, "%s: %s",
			config->include_patterns.items[i], err.text);
		report_cause(reading->reader.report, &err);
	}
	files_sort(list);
	const char **files = check_memory(
		reading, arena_alloc(&reading->owned->arena, (list->count + 1) * sizeof *files));
	if (!files)
		return;
	files[0] = config->files.items[0];
	config->files.items = files;
}

/* What needs the whole configuration, included hosts and all, and the first file's text for its
 * line. */
static void check_whole(struct file *file)
{
	struct reading *reading = file->reading;
	struct config *config = &reading->owned->config;
	struct place root = place_root(&file->source);
	bool has_listen = file->seen >> (field_find(file->fields, "listen") - file->fields) & 1;
	if (!has_listen &&
		(config->forward_count == 0 || config->host_count > 0 ||
			config->include_patterns.count > 0))
		place_error(&root, reading->reader.report,
			"\"listen\" is missing: expected an address such as \":443\"");
	listeners_check_unique(&reading->reader, config);
}

static void read_files(struct reading *reading, const char *path)
{
	struct config *config = &reading->owned->config;
	struct file file = {.reading = reading, .fields = settings_fields()};
	struct file_list included = {0};
	config->files.items =
		check_memory(reading, arena_alloc(&reading->owned->arena, sizeof path));
	const char *absolute = check_memory(reading, path_absolute(&reading->owned->arena, path));
	if (!config->files.items || !absolute || !open_file(&file, path, absolute))
		return;
	read_text(&file);
	find_included(&file, &included);
	if (file.is_object && !file.json.failed && !reading->reader.out_of_memory)
		check_whole(&file);
	close_file(&file);
	for (size_t i = 0; i < included.count && !reading->reader.out_of_memory; i++)
		read_included(reading, included.paths[i]);
	files_finish(&included);
}

struct config *config_read(
	const char *path, config_host_fn *on_host, void *owner, struct report *report)
{
	unsigned errors = report->errors;
	struct owned *owned = calloc(1, sizeof *owned);
	if (!owned) {
		report_no_memory(report, path);
		return NULL;
	}
	struct reading reading = {.owned = owned, .on_host = on_host, .owner = owner, .path = path};
	reading.reader = (struct reader){.report = report, .arena = &owned->arena};
	reading.for_host = (struct reader){.report = report, .arena = &reading.host_arena};
	settings_default(&owned->config);
	read_files(&reading, path);
	arena_finish(&reading.host_arena);
	if (reading.reader.out_of_memory || reading.for_host.out_of_memory)
		report_no_memory(report, path);
	if (report->errors == errors)
		return &owned->config;
	config_free(&owned->config);
	return NULL;
}

struct config *config_of_limits(const struct config *config)
{
	struct owned *owned = calloc(1, sizeof *owned);
	if (!owned)
		return NULL;
	owned->config.proxy = config->proxy;
	return &owned->config;
}

void config_free(struct config *config)
{
	struct owned *owned = (struct owned *)config; /* its first member */
	if (!owned)
		return;
	arena_finish(&owned->arena);
	free(owned);
}
