/*
 * The same facts for people and for scripts: values with keys, objects and lists are given once,
 * and come out as indented lines or as one JSON object without a newline.
 *
 *     route:                  {"route":{"host":"*.test","names":["a","b"]}}
 *       host: *.test
 *       names: a, b
 */
#ifndef GATEHOUSE_EXPLAIN_EXPLAIN_OUT_H
#define GATEHOUSE_EXPLAIN_EXPLAIN_OUT_H

#include "base/json_out.h"

#define OUT_DEPTH_MAX 8

struct out_level {
	bool is_list;
	bool holds_objects; /* a list: not of texts */
	bool is_item;       /* an object in a list: its first line begins with "- " */
	unsigned count;
};

struct out {
	struct strbuf *text; /* lack of memory shows there */
	bool is_json;
	struct json_out json;
	unsigned depth;
	struct out_level levels[OUT_DEPTH_MAX]; /* of the lines */
};

/* The outermost object. */
void out_begin(struct out *out, struct strbuf *text, bool is_json);
void out_end(struct out *out);

/* The key of an item of a list is NULL. A list holds texts, or objects. */
void out_object(struct out *out, const char *key);
void out_list(struct out *out, const char *key);
void out_close(struct out *out);

/* UTF-8; anything else is taken byte for character. A NULL value is null, for people "none". */
void out_text(struct out *out, const char *key, const char *value);

/* One byte, one character: U+0000 to U+00FF. */
void out_bytes(struct out *out, const char *key, struct span value);
void out_number(struct out *out, const char *key, long long value);
void out_flag(struct out *out, const char *key, bool value);

#endif
