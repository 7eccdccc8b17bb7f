#include "config/read/fields.h"

#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_TEXT_MAX  96
#define CHOICE_TEXT_MAX 256
#define FIELD_NAME_MAX  32 /* no key of ours is longer */
#define UNKNOWN_MAX     20 /* of one object: then it was meant to be something else */

void *reader_alloc(struct reader *reader, size_t count, size_t size)
{
	size_t bytes;
	void *out = NULL;
	if (!__builtin_mul_overflow(count, size, &bytes))
		out = arena_alloc(reader->arena, bytes);
	if (!out)
		reader->out_of_memory = true;
	return out;
}

const char *reader_copy(struct reader *reader, const char *text)
{
	size_t len = strlen(text);
	char *out = reader_alloc(reader, len + 1, 1);
	return out ? memcpy(out, text, len + 1) : NULL;
}

const char *reader_place_text(struct reader *reader, const struct place *place)
{
	char text[512];
	place_text(place, text, sizeof text);
	return reader_copy(reader, text);
}

static void value_text(const cJSON *value, char out[VALUE_TEXT_MAX])
{
	if (cJSON_IsString(value))
		place_quote(value->valuestring, out, VALUE_TEXT_MAX);
	else if (cJSON_IsNumber(value))
		snprintf(out, VALUE_TEXT_MAX, "%.15g", value->valuedouble);
	else if (cJSON_IsBool(value))
		snprintf(out, VALUE_TEXT_MAX, "%s", cJSON_IsTrue(value) ? "true" : "false");
	else if (cJSON_IsNull(value))
		snprintf(out, VALUE_TEXT_MAX, "null");
	else
		snprintf(out, VALUE_TEXT_MAX, "%s", cJSON_IsArray(value) ? "a list" : "an object");
}

void field_expected(
	struct reader *reader, const struct place *place, const char *what, const cJSON *value)
{
	char got[VALUE_TEXT_MAX];
	value_text(value, got);
	place_error(place, reader->report, "expected %s, got %s", what, got);
}

/* Levenshtein's edit_distance; 3 for what is too long to be one of ours. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[FIELD_NAME_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);
	if (a_len > FIELD_NAME_MAX || b_len > FIELD_NAME_MAX)
		return 3;
	for (unsigned i = 0; i <= b_len; i++)
		row[i] = i;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned corner = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned change = corner + (a[i - 1] != b[j - 1]);
			corner = row[j];
			unsigned step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			row[j] = change < step ? change : step;
		}
	}
	return row[b_len];
}

void field_unknown(struct reader *reader, const struct field *table, const struct place *place)
{
	const char *nearest = NULL;
	unsigned least = 3;
	for (const struct field *field = table; field->key; field++) {
		bool same = strcasecmp(place->key, field->key) == 0;
		unsigned far = same ? 0 : edit_distance(place->key, field->key);
		if (far < least && far < strlen(field->key)) {
			least = far;
			nearest = field->key;
		}
	}
	if (nearest)
		place_error(place, reader->report, "unknown key: did you mean \"%s\"?", nearest);
	else
		place_error(place, reader->report, "unknown key");
}

const struct field *field_find(const struct field *table, const char *key)
{
	for (const struct field *field = table; field->key; field++)
		if (strcmp(field->key, key) == 0)
			return field;
	return NULL;
}

unsigned field_nth(const cJSON *object, const cJSON *member)
{
	unsigned count = 0;
	for (const cJSON *other = object->child; other != member; other = other->next)
		if (strcmp(other->string, member->string) == 0)
			count++;
	return count;
}

const char *choice_text(const struct choice *choices, unsigned value)
{
	while (choices->text && choices->value != value)
		choices++;
	return choices->text;
}

static void choices_text(const struct choice *choices, char out[CHOICE_TEXT_MAX])
{
	size_t used = 0;
	out[0] = '\0';
	for (const struct choice *choice = choices; choice->text; choice++) {
		const char *glue = choice == choices ? "" : choice[1].text ? ", " : " or ";
		int len = snprintf(
			out + used, CHOICE_TEXT_MAX - used, "%s\"%s\"", glue, choice->text);
		used += len < 0 ? 0 : (size_t)len;
	}
}

static void report_missing(
	struct reader *reader, const struct field *field, const struct place *place)
{
	char choices[CHOICE_TEXT_MAX];
	if (!field->choices) {
		place_error(place, reader->report, "\"%s\" is missing", field->key);
		return;
	}
	choices_text(field->choices, choices);
	place_error(place, reader->report, "\"%s\" is missing: expected %s", field->key, choices);
}

struct given fields_read(struct reader *reader, const struct field *table,
	const struct place *place, const cJSON *object, void *out)
{
	struct given given = {0};
	uint64_t seen = 0;
	unsigned unknown = 0;
	for (const cJSON *member = object->child; member; member = member->next) {
		struct place here = place_member(place, member->string);
		const struct field *field = field_find(table, member->string);
		uint64_t bit = field ? (uint64_t)1 << (field - table) : 0;
		unsigned errors = reader->report->errors;
		if (!field) {
			if (unknown++ < UNKNOWN_MAX) {
				here.nth = field_nth(object, member);
				field_unknown(reader, table, &here);
			}
		} else if (seen & bit) {
			here.nth = field_nth(object, member);
			place_error(&here, reader->report, "duplicate key");
		} else {
			field->get(reader, field, &here, member, (char *)out + field->offset);
			given.traits |= field->traits;
			if (reader->report->errors != errors)
				given.wrong |= field->traits;
		}
		seen |= bit;
	}
	if (unknown > UNKNOWN_MAX)
		place_error(
			place, reader->report, "and %u more unknown keys", unknown - UNKNOWN_MAX);
	for (const struct field *field = table; field->key; field++)
		if ((field->traits & FIELD_REQUIRED) && !(seen >> (field - table) & 1))
			report_missing(reader, field, place);
	return given;
}

const char *item_text(struct reader *reader, const struct place *place, const char *text)
{
	if (*text)
		return reader_copy(reader, text);
	place_error(place, reader->report, "expected a text that is not empty");
	return NULL;
}

const char *item_path(struct reader *reader, const struct place *place, const char *text)
{
	if (!*text) {
		place_error(place, reader->report, "expected the path of a file, got \"\"");
		return NULL;
	}
	if (*text == '/')
		return reader_copy(reader, text);
	const char *out = arena_format(reader->arena, "%s/%s", place->source->directory, text);
	if (!out)
		reader->out_of_memory = true;
	return out;
}

static const char *take_item(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, const char *what)
{
	if (!cJSON_IsString(value)) {
		field_expected(reader, place, what, value);
		return NULL;
	}
	field_item *item = field->item ? field->item : item_text;
	return item(reader, place, value->valuestring);
}

void field_text(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	*(const char **)out = take_item(reader, field, place, value, "a string");
}

static void take_list(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *list, struct strings *out)
{
	unsigned index = 0;
	for (const cJSON *value = list->child; value; value = value->next, index++) {
		struct place here = place_item(place, index);
		const char *item = take_item(reader, field, &here, value, "a string");
		if (item)
			out->items[out->count++] = item;
	}
}

void field_strings(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	bool is_list = cJSON_IsArray(value);
	struct strings *strings = out;
	size_t count = is_list ? (size_t)cJSON_GetArraySize(value) : 1;
	*strings = (struct strings){0};
	if (count < field->min || (field->max && count > field->max)) {
		if (count < field->min)
			place_error(
				place, reader->report, "expected at least one, got an empty list");
		else
			place_error(place, reader->report, "expected at most %u, got %zu",
				(unsigned)field->max, count);
		return;
	}
	strings->items = reader_alloc(reader, count, sizeof *strings->items);
	if (!strings->items)
		return;
	if (is_list) {
		take_list(reader, field, place, value, strings);
		return;
	}
	const char *item = take_item(reader, field, place, value, "a string or a list of strings");
	if (item)
		strings->items[strings->count++] = item;
}

static void store_choice(void *out, size_t size, unsigned value)
{
	if (size == sizeof(uint8_t))
		*(uint8_t *)out = (uint8_t)value;
	else if (size == sizeof(uint16_t))
		*(uint16_t *)out = (uint16_t)value;
	else
		*(unsigned *)out = value;
}

void field_choice(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	char what[CHOICE_TEXT_MAX];
	for (const struct choice *choice = field->choices; choice->text; choice++) {
		if (cJSON_IsString(value) && strcmp(value->valuestring, choice->text) == 0) {
			store_choice(out, field->size, choice->value);
			return;
		}
	}
	choices_text(field->choices, what);
	field_expected(reader, place, what, value);
}

void field_tls_version(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	static const struct choice versions[] = {{"TLS1.2", 0x0303}, {"TLS1.3", 0x0304}, {0}};
	struct field by_name = *field;
	by_name.choices = versions;
	field_choice(reader, &by_name, place, value, out);
}

void field_expired_crl(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	static const struct choice expired_crls[] = {{"warn", false}, {"refuse", true}, {0}};
	struct field by_name = *field;
	by_name.choices = expired_crls;
	field_choice(reader, &by_name, place, value, out);
}

void field_count(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	char what[VALUE_TEXT_MAX];
	uint64_t max = field->max ? field->max : UINT32_MAX;
	double number = cJSON_IsNumber(value) ? value->valuedouble : -1;
	if (number >= (double)field->min && number <= (double)max &&
		(double)(uint64_t)number == number) {
		*(unsigned *)out = (unsigned)number;
		return;
	}
	snprintf(what, sizeof what, "a whole number from %llu to %llu",
		(unsigned long long)field->min, (unsigned long long)max);
	field_expected(reader, place, what, value);
}

void field_flag(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	(void)field;
	if (cJSON_IsBool(value))
		*(bool *)out = cJSON_IsTrue(value);
	else
		field_expected(reader, place, "true or false", value);
}

static void duration_text(uint64_t ms, char out[32])
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	size_t i = 0;
	while (ms % units[i].ms != 0)
		i++;
	if (ms == 0)
		snprintf(out, 32, "\"0\"");
	else
		snprintf(out, 32, "\"%llu%s\"", (unsigned long long)(ms / units[i].ms),
			units[i].unit);
}

/* Far more than any time that means something, and small enough to reckon with. */
#define DURATION_MAX_MS ((uint64_t)365 * 86400000)

void field_duration(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	char what[VALUE_TEXT_MAX], min[32], max[32];
	uint64_t ms, max_ms = field->max ? field->max : DURATION_MAX_MS;
	if (!cJSON_IsString(value) || !units_duration_ms(value->valuestring, &ms)) {
		field_expected(reader, place, "a duration such as \"10s\"", value);
		return;
	}
	if (ms >= field->min && ms <= max_ms) {
		*(uint64_t *)out = ms;
		return;
	}
	duration_text(field->min, min);
	duration_text(max_ms, max);
	snprintf(what, sizeof what, "a duration from %s to %s", min, max);
	field_expected(reader, place, what, value);
}

void field_object(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	if (cJSON_IsObject(value))
		fields_read(reader, field->fields, place, value, out);
	else
		field_expected(reader, place, "an object", value);
}

void field_later(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	(void)reader;
	(void)field;
	(void)place;
	(void)value;
	(void)out;
}
