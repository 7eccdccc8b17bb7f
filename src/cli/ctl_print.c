#include "cli/ctl_print.h"

#include "base/bytes.h"
#include "base/json_scan.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 20

/* A cell of a table, or the value of a pair. */
static char *value_text(const char *text, size_t from, size_t to)
{
	char *out = malloc(to - from + 1);
	if (!out)
		abort(); /* some bytes, at a command's end */
	if (text[from] == '"') {
		json_decode(text + from + 1, to - from - 2, out);
		return out;
	}
	memcpy(out, text + from, to - from);
	out[to - from] = '\0';
	if (strcmp(out, "null") == 0 || strcmp(out, "true") == 0 || strcmp(out, "false") == 0)
		strcpy(out, out[0] == 'n' ? "-" : out[0] == 't' ? "yes" : "no");
	return out;
}

static bool is_bytes(const char *name)
{
	return strcmp(name, "up") == 0 || strcmp(name, "down") == 0 || strstr(name, "bytes");
}

/* 1536 is "1.5K". */
static char *readable(const char *name, char *value)
{
	static const char units[] = "KMGTPE";
	char *end, *out;
	double number = strtod(value, &end);
	size_t unit = 0;
	if (!is_bytes(name) || *end || number < 1024)
		return value;
	for (number /= 1024; number >= 1024 && unit + 1 < sizeof units - 1; number /= 1024)
		unit++;
	if (asprintf(&out, "%.1f%c", number, units[unit]) < 0)
		return value;
	free(value);
	return out;
}

/* A walk over JSON that stands at a value: where it begins. */
static size_t value_start(struct json *json)
{
	size_t at = json->at;
	json_peek(json);
	while (at < json->len && strchr(" \t\r\n", json->text[at]))
		at++;
	return at;
}

static char *next_name(const struct json_member *member)
{
	char *name = malloc(member->name_len + 1);
	if (!name)
		abort();
	json_decode(member->name, member->name_len, name);
	return name;
}

/* A terminal gets no control characters, whoever chose the text. */
static void print_safe(FILE *file, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		if ((byte < 0x20 && byte != '\n') || byte == 0x7f)
			fprintf(file, "\\x%02x", byte);
		else
			fputc(byte, file);
	}
}

static void print_name(FILE *file, const char *name)
{
	for (; *name; name++)
		fputc(*name == '_' ? ' ' : *name, file);
}

/* As print_safe prints it. Characters, not bytes: names may be in any language. */
static int width_of(const char *text)
{
	int width = 0;
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		width += byte < 0x20 || byte == 0x7f ? 4 : (byte & 0xc0) != 0x80;
	}
	return width;
}

/* Tables. */

struct table {
	char *names[COLUMNS_MAX];
	int widths[COLUMNS_MAX];
	size_t columns;
	char ***rows;
	size_t count;
};

static size_t column_of(struct table *table, const struct json_member *member)
{
	char *name = next_name(member);
	size_t i = 0;
	while (i < table->columns && strcmp(table->names[i], name) != 0)
		i++;
	if (i < table->columns || i == COLUMNS_MAX) {
		free(name);
		return i;
	}
	table->names[i] = name;
	table->widths[i] = width_of(name);
	table->columns++;
	return i;
}

/* A list within a row is shown as its items with commas between. */
static char *joined(struct json *json)
{
	struct json_member item;
	char *out = NULL, *more;
	json_enter(json);
	while (json_next(json, &item)) {
		size_t from = value_start(json), to;
		if (!json_skip(json, &to))
			break;
		char *value = value_text(json->text, from, to);
		if (asprintf(&more, "%s%s%s", out ? out : "", out ? "," : "", value) < 0)
			abort();
		free(value);
		free(out);
		out = more;
	}
	return out ? out : strdup("-");
}

static char *cell(struct json *json, const char *name)
{
	size_t from = value_start(json), to;
	if (json_peek(json) == '[')
		return joined(json);
	if (!json_skip(json, &to))
		return NULL;
	return readable(name, value_text(json->text, from, to));
}

static void read_row(struct json *json, struct table *table)
{
	struct json_member member;
	char **row = calloc(COLUMNS_MAX + 1, sizeof *row);
	char ***more = realloc(table->rows, (table->count + 1) * sizeof *more);
	if (!row || !more)
		abort();
	table->rows = more;
	table->rows[table->count++] = row;
	json_enter(json);
	while (json_next(json, &member)) {
		size_t i = column_of(table, &member);
		free(row[i]);
		row[i] = cell(json, i < COLUMNS_MAX ? table->names[i] : "");
		if (i < COLUMNS_MAX && row[i] && width_of(row[i]) > table->widths[i])
			table->widths[i] = width_of(row[i]);
	}
}

static void print_cells(FILE *file, const struct table *table, char *const *cells, bool is_head)
{
	for (size_t i = 0; i < table->columns; i++) {
		const char *text = cells[i] ? cells[i] : "-";
		if (is_head)
			print_name(file, text);
		else
			print_safe(file, text);
		if (i + 1 < table->columns)
			fprintf(file, "%*s", table->widths[i] - width_of(text) + 2, "");
	}
	fputc('\n', file);
}

static void table_print(FILE *file, struct table *table)
{
	if (table->count > 0)
		print_cells(file, table, table->names, true);
	for (size_t i = 0; i < table->count; i++) {
		print_cells(file, table, table->rows[i], false);
		for (size_t at = 0; at <= COLUMNS_MAX; at++)
			free(table->rows[i][at]);
		free(table->rows[i]);
	}
	for (size_t i = 0; i < table->columns; i++)
		free(table->names[i]);
	free(table->rows);
}

static void print_list(FILE *file, struct json *json, const char *name)
{
	struct json_member item;
	struct table table = {0};
	size_t to;
	unsigned told = 0;
	json_enter(json);
	while (json_next(json, &item)) {
		size_t from = value_start(json);
		if (json_peek(json) == '{') {
			read_row(json, &table);
			continue;
		}
		if (!json_skip(json, &to))
			break;
		char *value = value_text(json->text, from, to);
		if (told++ == 0)
			fprintf(file, "%s:\n", name);
		fputs("  ", file);
		print_safe(file, value);
		fputc('\n', file);
		free(value);
	}
	table_print(file, &table);
}

/* Pairs. */

static void print_members(FILE *file, struct json *json, const char *indent);

static void print_member(FILE *file, struct json *json, const char *name, const char *indent)
{
	char kind = json_peek(json);
	if (kind == '[') {
		print_list(file, json, name);
	} else if (kind == '{') {
		fputs(indent, file);
		print_name(file, name);
		fputs(":\n", file);
		print_members(file, json, "  ");
	} else {
		char *value = cell(json, name);
		bool is_text = strcmp(name, "text") == 0;
		bool is_known = strcmp(name, "ok") == 0 || strcmp(name, "error") == 0;
		if (!is_known && !is_text) {
			fputs(indent, file);
			print_name(file, name);
			fputs(": ", file);
		}
		if (!is_known && value)
			print_safe(file, value);
		if (!is_known && !is_text)
			fputc('\n', file);
		free(value);
	}
}

static void print_members(FILE *file, struct json *json, const char *indent)
{
	struct json_member member;
	json_enter(json);
	while (json_next(json, &member)) {
		char *name = next_name(&member);
		print_member(file, json, name, indent);
		free(name);
	}
}

void ctl_print(FILE *file, const char *line, size_t len)
{
	struct json json;
	if (json_begin(&json, line, len) && json_peek(&json) == '{')
		print_members(file, &json, "");
}

bool ctl_answer_parse(const char *line, size_t len, struct ctl_answer *out, struct err *err)
{
	struct json json;
	struct json_member member;
	*out = (struct ctl_answer){0};
	if (!json_begin(&json, line, len) || json_peek(&json) != '{' || !json_enter(&json)) {
		err_set(err, "the answer is none that this version understands");
		return false;
	}
	while (json_next(&json, &member)) {
		size_t from = value_start(&json), to;
		if (!json_skip(&json, &to))
			break;
		if (span_equal(span_of(member.name, member.name_len), span_of("ok", 2)))
			out->ok = line[from] == 't';
		else if (span_equal(span_of(member.name, member.name_len), span_of("error", 5)) &&
			line[from] == '"' && !out->error)
			out->error = value_text(line, from, to);
	}
	if (json_end(&json))
		return true;
	free(out->error);
	err_set(err, "the answer is cut or broken: %s", json.fault.text);
	return false;
}
