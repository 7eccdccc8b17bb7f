#include "cli/ctl_print.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/json_scan.h"
#include "base/printable.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 20

struct printer {
	FILE *file;
	struct json json;
	struct arena arena; /* of all texts and rows */
	bool failed;        /* no memory: what is missing is printed as "-" */
};

struct row {
	struct row *next;
	const char *cells[COLUMNS_MAX]; /* NULL: the row has no such column */
};

struct table {
	const char *names[COLUMNS_MAX];
	int widths[COLUMNS_MAX];
	size_t columns;
	struct row *first, **end;
};

/* Texts. */

static const char *text_or_failed(struct printer *printer, const char *text)
{
	if (!text)
		printer->failed = true;
	return text ? text : "-";
}

static const char *name_of(struct printer *printer, const struct json_member *member)
{
	char *name = arena_alloc(&printer->arena, member->name_len + 1);
	if (name)
		json_decode(member->name, member->name_len, name);
	return text_or_failed(printer, name);
}

/* Where the value begins that the scanner stands at. */
static size_t value_start(const struct json *json)
{
	size_t at = json->at;
	while (at < json->len && strchr(" \t\r\n", json->text[at]))
		at++;
	return at;
}

/* Takes a value that is no list and no object. */
static const char *take_scalar(struct printer *printer)
{
	struct json *json = &printer->json;
	size_t from = value_start(json), to;
	if (!json_skip(json, &to))
		return "-";
	if (json->text[from] == '"') {
		char *out = arena_alloc(&printer->arena, to - from);
		if (out)
			json_decode(json->text + from + 1, to - from - 2, out);
		return text_or_failed(printer, out);
	}
	switch (json->text[from]) {
	case 'n':
		return "-";
	case 't':
		return "yes";
	case 'f':
		return "no";
	default:
		return text_or_failed(
			printer, arena_copy(&printer->arena, json->text + from, to - from));
	}
}

/* A list within a row: its items with commas between. */
static const char *take_list(struct printer *printer)
{
	struct json_member item;
	const char *out = NULL;
	json_enter(&printer->json);
	while (json_next(&printer->json, &item)) {
		const char *value = take_scalar(printer);
		if (out)
			value = arena_format(&printer->arena, "%s,%s", out, value);
		out = text_or_failed(printer, value);
	}
	return out ? out : "-";
}

static bool is_bytes(const char *name)
{
	return strcmp(name, "up") == 0 || strcmp(name, "down") == 0 || strstr(name, "bytes");
}

/* 1536 is "1.5K". */
static const char *shorten_bytes(struct printer *printer, const char *value)
{
	static const char units[] = "KMGTPE";
	char *end;
	double number = strtod(value, &end);
	size_t unit = 0;
	if (*end || number < 1024)
		return value;
	for (number /= 1024; number >= 1024 && unit + 1 < sizeof units - 1; number /= 1024)
		unit++;
	const char *out = arena_format(&printer->arena, "%.1f%c", number, units[unit]);
	return out ? out : value;
}

/* A cell of a table, or the value of a pair. */
static const char *take_value(struct printer *printer, const char *name)
{
	if (json_peek(&printer->json) == '[')
		return take_list(printer);
	const char *value = take_scalar(printer);
	return is_bytes(name) ? shorten_bytes(printer, value) : value;
}

static void print_name(FILE *file, const char *name)
{
	for (; *name; name++)
		fputc(*name == '_' ? ' ' : *name, file);
}

/* Tables. */

/* COLUMNS_MAX: the table has no place for it. */
static size_t table_column(struct table *table, const char *name)
{
	size_t i = 0;
	while (i < table->columns && strcmp(table->names[i], name) != 0)
		i++;
	if (i < table->columns || i == COLUMNS_MAX)
		return i;
	table->names[i] = name;
	table->widths[i] = escaped_width(name);
	table->columns++;
	return i;
}

static void table_take_row(struct table *table, struct printer *printer)
{
	struct json_member member;
	struct row *row = arena_alloc(&printer->arena, sizeof *row);
	json_enter(&printer->json);
	while (json_next(&printer->json, &member)) {
		const char *name = name_of(printer, &member);
		size_t i = table_column(table, name);
		const char *cell = take_value(printer, name);
		if (!row || i == COLUMNS_MAX)
			continue;
		row->cells[i] = cell;
		if (escaped_width(cell) > table->widths[i])
			table->widths[i] = escaped_width(cell);
	}
	if (row) {
		*table->end = row;
		table->end = &row->next;
	} else {
		printer->failed = true;
	}
}

static void table_print_cells(
	const struct table *table, FILE *file, const char *const *cells, bool is_head)
{
	for (size_t i = 0; i < table->columns; i++) {
		const char *text = cells[i] ? cells[i] : "-";
		if (is_head)
			print_name(file, text);
		else
			print_escaped(file, text);
		if (i + 1 < table->columns)
			fprintf(file, "%*s", table->widths[i] - escaped_width(text) + 2, "");
	}
	fputc('\n', file);
}

static void table_print(const struct table *table, FILE *file)
{
	if (table->first)
		table_print_cells(table, file, table->names, true);
	for (const struct row *row = table->first; row; row = row->next)
		table_print_cells(table, file, row->cells, false);
}

/* Objects of a list become a table, behind the lines of its other items. */
static void print_list(struct printer *printer, const char *name)
{
	struct json_member item;
	struct table table = {.end = &table.first};
	unsigned lines = 0;
	json_enter(&printer->json);
	while (json_next(&printer->json, &item)) {
		if (json_peek(&printer->json) == '{') {
			table_take_row(&table, printer);
			continue;
		}
		if (lines++ == 0)
			fprintf(printer->file, "%s:\n", name);
		fputs("  ", printer->file);
		print_escaped(printer->file, take_scalar(printer));
		fputc('\n', printer->file);
	}
	table_print(&table, printer->file);
}

/* Pairs. */

static void print_members(struct printer *printer, const char *indent);

/* "ok" and "error" are the caller's; "text" is printed as it is, with its own newlines. */
static void print_pair(struct printer *printer, const char *name, const char *indent)
{
	const char *value = take_value(printer, name);
	if (strcmp(name, "ok") == 0 || strcmp(name, "error") == 0)
		return;
	if (strcmp(name, "text") == 0) {
		print_escaped(printer->file, value);
		return;
	}
	fputs(indent, printer->file);
	print_name(printer->file, name);
	fputs(": ", printer->file);
	print_escaped(printer->file, value);
	fputc('\n', printer->file);
}

static void print_object(struct printer *printer, const char *name, const char *indent)
{
	fputs(indent, printer->file);
	print_name(printer->file, name);
	fputs(":\n", printer->file);
	print_members(printer, "  ");
}

static void print_members(struct printer *printer, const char *indent)
{
	struct json_member member;
	json_enter(&printer->json);
	while (json_next(&printer->json, &member)) {
		const char *name = name_of(printer, &member);
		switch (json_peek(&printer->json)) {
		case '[':
			print_list(printer, name);
			break;
		case '{':
			print_object(printer, name, indent);
			break;
		default:
			print_pair(printer, name, indent);
		}
	}
}

bool ctl_print(FILE *file, const char *line, size_t len)
{
	struct printer printer = {.file = file};
	if (json_begin(&printer.json, line, len) && json_peek(&printer.json) == '{')
		print_members(&printer, "");
	arena_finish(&printer.arena);
	return !printer.failed;
}

/* False: no memory. */
static bool copy_string(const char *raw, size_t len, char **out)
{
	*out = malloc(len + 1);
	if (*out)
		json_decode(raw, len, *out);
	return *out != NULL;
}

bool ctl_answer_parse(const char *line, size_t len, struct ctl_answer *out, struct err *err)
{
	struct json json;
	struct json_member member;
	bool has_memory = true;
	*out = (struct ctl_answer){0};
	if (!json_begin(&json, line, len) || json_peek(&json) != '{' || !json_enter(&json)) {
		err_set(err, "this version does not understand the answer");
		return false;
	}
	while (json_next(&json, &member)) {
		struct span name = span_of(member.name, member.name_len);
		size_t from = value_start(&json), to;
		if (!json_skip(&json, &to))
			break;
		if (span_equal(name, span_of_string("ok")))
			out->ok = line[from] == 't';
		else if (span_equal(name, span_of_string("error")) && line[from] == '"' &&
			!out->error)
			has_memory = copy_string(line + from + 1, to - from - 2, &out->error);
	}
	if (json_end(&json) && has_memory)
		return true;
	free(out->error);
	if (has_memory)
		err_set(err, "the answer is incomplete or malformed: %s", json.fault.text);
	else
		err_set(err, "out of memory");
	return false;
}
