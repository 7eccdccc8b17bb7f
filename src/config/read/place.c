#include "config/read/place.h"

#include "base/json_out.h"
#include "base/json_scan.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_TEXT_MAX   1024
#define PLACE_NAME_MAX   320
#define MESSAGE_TEXT_MAX 2048

static unsigned count_lines(const char *from, const char *to)
{
	unsigned lines = 0;
	while (from < to && (from = memchr(from, '\n', (size_t)(to - from)))) {
		lines++;
		from++;
	}
	return lines;
}

/* Counts from the last answer on, or back to it: a walk through the file costs one pass in all. */
unsigned source_line(struct source *source, size_t at)
{
	if (at >= source->counted_to)
		source->counted_line +=
			count_lines(source->text + source->counted_to, source->text + at);
	else
		source->counted_line -=
			count_lines(source->text + at, source->text + source->counted_to);
	source->counted_to = at;
	return source->counted_line + 1;
}

struct place place_root(struct source *source)
{
	return (struct place){.source = source, .is_known = true};
}

struct place place_member(const struct place *up, const char *key)
{
	return (struct place){.up = up, .source = up->source, .key = key};
}

struct place place_item(const struct place *up, unsigned index)
{
	return (struct place){.up = up, .source = up->source, .index = index};
}

static bool member_is_named(const struct json_member *member, const char *key)
{
	if (!memchr(member->name, '\\', member->name_len))
		return strlen(key) == member->name_len &&
			memcmp(member->name, key, member->name_len) == 0;
	char *decoded = malloc(member->name_len + 1);
	if (!decoded)
		return false;
	json_decode(member->name, member->name_len, decoded);
	bool same = strcmp(decoded, key) == 0;
	free(decoded);
	return same;
}

/*
 * Looks for the place inside the value that begins at *value_at; moves both there when
 * it is found.
 */
static bool step_down(const struct place *place, size_t *at, size_t *value_at)
{
	struct json json;
	struct json_member member;
	unsigned seen = 0;
	size_t end;
	json_resume(&json, place->source->text, place->source->len, *value_at);
	if (json_peek(&json) != (place->key ? '{' : '[') || !json_enter(&json))
		return false;
	while (json_next(&json, &member)) {
		bool counts = !place->key || member_is_named(&member, place->key);
		if (counts && seen++ == (place->key ? place->nth : place->index)) {
			*at = member.at;
			*value_at = json.at;
			return true;
		}
		json_skip(&json, &end);
	}
	return false;
}

/* The nearest that there is: an error about a missing member has the line of its object. */
static bool place_locate(const struct place *place, size_t *at, size_t *value_at)
{
	if (place->is_known) {
		*at = place->at;
		*value_at = place->value_at;
		return true;
	}
	return place_locate(place->up, at, value_at) && step_down(place, at, value_at);
}

bool place_find(const struct place *place, size_t *value_at)
{
	size_t at;
	return place_locate(place, &at, value_at);
}

void place_quote(const char *text, char *out, size_t size)
{
	char piece[JSON_ESCAPE_MAX];
	size_t used = 0;
	out[used++] = '"';
	for (struct span rest = span_of_string(text); rest.len > 0;) {
		size_t len = json_escape_next(&rest, piece);
		if (used + len + sizeof "...\"" > size) {
			memcpy(out + used, "...", 3);
			used += 3;
			break;
		}
		memcpy(out + used, piece, len);
		used += len;
	}
	memcpy(out + used, "\"", 2);
}

static bool is_word(const char *key)
{
	return *key &&
		strspn(key,
			"abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789") == strlen(key);
}

static void append_text(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);
	snprintf(out + used, size - used, "%s", text);
}

static void append_step(const struct place *place, char *out, size_t size)
{
	char step[PLACE_NAME_MAX], quoted[PLACE_NAME_MAX - 3];
	if (!place->key) {
		snprintf(step, sizeof step, "[%u]", place->index);
	} else if (!place->is_name && is_word(place->key)) {
		snprintf(step, sizeof step, "%s%s", place->up->up ? "." : "", place->key);
	} else {
		place_quote(place->key, quoted, sizeof quoted);
		snprintf(step, sizeof step, place->up->up ? "[%s]" : "%s", quoted);
	}
	append_text(out, size, step);
}

static void append_path(const struct place *place, char *out, size_t size)
{
	if (!place->up)
		return;
	append_path(place->up, out, size);
	append_step(place, out, size);
}

void place_text(const struct place *place, char *out, size_t size)
{
	size_t at = 0, value_at = 0;
	place_locate(place, &at, &value_at);
	snprintf(out, size, "%s:%u%s", place->source->name, source_line(place->source, at),
		place->up ? ": " : "");
	append_path(place, out, size);
}

void place_report(const struct place *place, struct report *report, enum severity severity,
	const char *format, va_list args)
{
	char where[PLACE_TEXT_MAX], message[MESSAGE_TEXT_MAX];
	place_text(place, where, sizeof where);
	vsnprintf(message, sizeof message, format, args);
	/* A value that went into the message as it is must not break the line. */
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	switch (severity) {
	case SEVERITY_ERROR:
		report_error(report, "%s: %s", where, message);
		break;
	case SEVERITY_WARNING:
		report_warning(report, "%s: %s", where, message);
		break;
	}
}

void place_error(const struct place *place, struct report *report, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	place_report(place, report, SEVERITY_ERROR, format, args);
	va_end(args);
}
