#include "explain/explain_out.h"

#include "base/utf8.h"

static struct out_level *top(struct out *out)
{
	return &out->levels[out->depth];
}

static void push(struct out *out, struct out_level level)
{
	if (out->depth + 1 < OUT_DEPTH_MAX)
		out->levels[++out->depth] = level;
}

void out_begin(struct out *out, FILE *file, bool is_json)
{
	*out = (struct out){.file = file, .is_json = is_json};
	if (is_json)
		fputc('{', file);
}

void out_end(struct out *out)
{
	if (out->is_json)
		fputs("}\n", out->file);
}

/* For people. */

static void text_indent(struct out *out, unsigned levels)
{
	for (unsigned i = 0; i < levels; i++)
		fputs("  ", out->file);
}

static void text_key(struct out *out, const char *key)
{
	const struct out_level *level = top(out);
	bool is_dashed = level->is_item && level->count == 0;
	text_indent(out, out->depth - is_dashed);
	if (is_dashed)
		fputs("- ", out->file);
	for (; *key; key++)
		fputc(*key == '_' ? ' ' : *key, out->file);
	fputc(':', out->file);
}

/* What stands between this value and what was told before it. */
static void text_before(struct out *out, const char *key)
{
	struct out_level *level = top(out);
	if (key)
		text_key(out, key);
	else if (level->count > 0)
		fputc(',', out->file);
	fputc(' ', out->file);
	level->count++;
}

static void text_after(struct out *out)
{
	if (!top(out)->is_list)
		fputc('\n', out->file);
}

/* For scripts. */

static void json_char(struct out *out, unsigned byte)
{
	if (byte == '"' || byte == '\\')
		fprintf(out->file, "\\%c", (int)byte);
	else if (byte < 0x20 || byte == 0x7f)
		fprintf(out->file, "\\u%04x", byte);
	else
		fputc((int)byte, out->file);
}

static void latin_char(struct out *out, unsigned byte)
{
	if (byte < 0x80) {
		json_char(out, byte);
		return;
	}
	fputc((int)(0xc0 | byte >> 6), out->file);
	fputc((int)(0x80 | (byte & 0x3f)), out->file);
}

static void json_before(struct out *out, const char *key)
{
	if (top(out)->count++ > 0)
		fputs(", ", out->file);
	if (key)
		fprintf(out->file, "\"%s\": ", key);
}

static void before(struct out *out, const char *key)
{
	if (out->is_json)
		json_before(out, key);
	else
		text_before(out, key);
}

static void after(struct out *out)
{
	if (!out->is_json)
		text_after(out);
}

/* A terminal gets no control characters from us, whoever chose the text. */
static void text_char(struct out *out, unsigned byte, bool is_in_utf8)
{
	if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_in_utf8))
		fprintf(out->file, "\\x%02x", byte);
	else
		fputc((int)byte, out->file);
}

static void write_chars(struct out *out, struct span value, bool is_in_utf8)
{
	for (size_t i = 0; i < value.len; i++) {
		if (!out->is_json)
			text_char(out, value.data[i], is_in_utf8);
		else if (is_in_utf8)
			json_char(out, value.data[i]);
		else
			latin_char(out, value.data[i]);
	}
}

static void write_string(struct out *out, const char *key, struct span value, bool is_in_utf8)
{
	before(out, key);
	if (out->is_json)
		fputc('"', out->file);
	write_chars(out, value, is_in_utf8);
	if (out->is_json)
		fputc('"', out->file);
	after(out);
}

static void write_word(struct out *out, const char *key, const char *json, const char *text)
{
	before(out, key);
	fputs(out->is_json ? json : text, out->file);
	after(out);
}

void out_bytes(struct out *out, const char *key, struct span value)
{
	write_string(out, key, value, false);
}

void out_text(struct out *out, const char *key, const char *value)
{
	if (value)
		write_string(out, key, span_of_string(value), utf8_is_valid(span_of_string(value)));
	else
		write_word(out, key, "null", "none");
}

void out_number(struct out *out, const char *key, long long value)
{
	before(out, key);
	fprintf(out->file, "%lld", value);
	after(out);
}

void out_flag(struct out *out, const char *key, bool value)
{
	write_word(out, key, value ? "true" : "false", value ? "yes" : "no");
}

void out_object(struct out *out, const char *key)
{
	bool is_item = top(out)->is_list;
	if (out->is_json) {
		json_before(out, key);
		fputc('{', out->file);
	} else if (is_item) {
		top(out)->holds_objects = true;
		if (top(out)->count++ == 0)
			fputc('\n', out->file);
	} else {
		text_key(out, key);
		fputc('\n', out->file);
		top(out)->count++;
	}
	push(out, (struct out_level){.is_item = is_item});
}

void out_list(struct out *out, const char *key)
{
	if (out->is_json) {
		json_before(out, key);
		fputc('[', out->file);
	} else {
		text_key(out, key);
		top(out)->count++;
	}
	push(out, (struct out_level){.is_list = true});
}

/* A list of objects ended its last line already. */
static void text_close(struct out *out, struct out_level closed)
{
	if (!closed.is_list || closed.holds_objects)
		return;
	fputs(closed.count == 0 ? " none\n" : "\n", out->file);
}

void out_close(struct out *out)
{
	struct out_level closed = *top(out);
	if (out->depth > 0)
		out->depth--;
	if (out->is_json)
		fputc(closed.is_list ? ']' : '}', out->file);
	else
		text_close(out, closed);
}
