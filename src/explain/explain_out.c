#include "explain/explain_out.h"

#include "base/utf8.h"

void out_begin(struct out *out, struct strbuf *text, bool is_json)
{
	*out = (struct out){.text = text, .is_json = is_json, .json = {.text = text}};
	if (is_json)
		json_out_object(&out->json, NULL);
}

void out_end(struct out *out)
{
	if (out->is_json)
		json_out_close(&out->json);
}

/* For people. */

static void line_put(struct out *out, const char *text)
{
	strbuf_append(out->text, text, strlen(text));
}

static struct out_level *level_of(struct out *out)
{
	return &out->levels[out->depth];
}

static void level_open(struct out *out, struct out_level level)
{
	if (out->depth + 1 < OUT_DEPTH_MAX)
		out->levels[++out->depth] = level;
}

static void line_key(struct out *out, const char *key)
{
	const struct out_level *level = level_of(out);
	bool is_dashed = level->is_item && level->count == 0;
	for (unsigned i = is_dashed; i < out->depth; i++)
		line_put(out, "  ");
	if (is_dashed)
		line_put(out, "- ");
	for (; *key; key++)
		strbuf_append(out->text, *key == '_' ? " " : key, 1);
	line_put(out, ":");
}

/* Ends where the value is to be written: behind its key, or behind the item before it. */
static void line_begin(struct out *out, const char *key)
{
	struct out_level *level = level_of(out);
	if (key)
		line_key(out, key);
	else if (level->count > 0)
		line_put(out, ",");
	line_put(out, " ");
	level->count++;
}

static void line_end(struct out *out)
{
	if (!level_of(out)->is_list)
		line_put(out, "\n");
}

static void line_word(struct out *out, const char *key, const char *word)
{
	line_begin(out, key);
	line_put(out, word);
	line_end(out);
}

/* A terminal gets no control characters, whatever the text is. */
static void line_text(struct out *out, const char *key, struct span value, bool is_utf8)
{
	line_begin(out, key);
	for (struct span rest = value; rest.len > 0;) {
		const uint8_t *at = rest.data;
		uint32_t point = *at;
		size_t len = is_utf8 ? utf8_decode(rest, &point) : 1;
		rest = span_of(at + len, rest.len - len);
		if (len == 1 && (point >= 0x7f || point < 0x20))
			strbuf_printf(out->text, "\\x%02x", (unsigned)point);
		else if (utf8_is_control(point))
			strbuf_printf(out->text, "\\u%04x", (unsigned)point);
		else
			strbuf_append(out->text, (const char *)at, len);
	}
	line_end(out);
}

static void lines_object(struct out *out, const char *key)
{
	struct out_level *level = level_of(out);
	if (!level->is_list)
		line_key(out, key);
	if (!level->is_list || level->count == 0)
		line_put(out, "\n");
	level->count++;
	level->holds_objects = true;
	level_open(out, (struct out_level){.is_item = level->is_list});
}

static void lines_list(struct out *out, const char *key)
{
	line_key(out, key);
	level_of(out)->count++;
	level_open(out, (struct out_level){.is_list = true});
}

/* A list of objects ended its last line already. */
static void lines_close(struct out *out)
{
	struct out_level closed = *level_of(out);
	if (out->depth > 0)
		out->depth--;
	if (closed.is_list && !closed.holds_objects)
		line_put(out, closed.count == 0 ? " none\n" : "\n");
}

/* For either. */

void out_bytes(struct out *out, const char *key, struct span value)
{
	if (out->is_json)
		json_out_bytes(&out->json, key, value);
	else
		line_text(out, key, value, false);
}

void out_text(struct out *out, const char *key, const char *value)
{
	bool is_utf8 = value && utf8_is_valid(span_of_string(value));
	if (value && !is_utf8)
		out_bytes(out, key, span_of_string(value));
	else if (out->is_json)
		json_out_text(&out->json, key, value);
	else if (value)
		line_text(out, key, span_of_string(value), true);
	else
		line_word(out, key, "none");
}

void out_number(struct out *out, const char *key, long long value)
{
	if (out->is_json) {
		json_out_number(&out->json, key, value);
		return;
	}
	line_begin(out, key);
	strbuf_printf(out->text, "%lld", value);
	line_end(out);
}

void out_flag(struct out *out, const char *key, bool value)
{
	if (out->is_json)
		json_out_flag(&out->json, key, value);
	else
		line_word(out, key, value ? "yes" : "no");
}

void out_object(struct out *out, const char *key)
{
	if (out->is_json)
		json_out_object(&out->json, key);
	else
		lines_object(out, key);
}

void out_list(struct out *out, const char *key)
{
	if (out->is_json)
		json_out_list(&out->json, key);
	else
		lines_list(out, key);
}

void out_close(struct out *out)
{
	if (out->is_json)
		json_out_close(&out->json);
	else
		lines_close(out);
}
