/*
 * Writes JSON into a strbuf, on one line without spaces, with its commas. What is opened is closed in
 * reverse order.
 *
 *     struct json_out out = {.text = &text};
 *     json_out_object(&out, NULL);
 *     json_out_text(&out, "status", "ready");
 *     json_out_close(&out);                       {"status":"ready"}
 *
 * The outermost level may also hold several items: a part of a list or of an object, which another
 * writer takes over with json_out_raw. Lack of memory shows in the strbuf's `failed`.
 */
#ifndef GATEHOUSE_BASE_JSON_OUT_H
#define GATEHOUSE_BASE_JSON_OUT_H

#include "base/strbuf.h"

#include <time.h>

struct json_out {
	struct strbuf *text;
	bool has_item;  /* on the level that is open: the next one needs a comma */
	uint64_t lists; /* one bit for each open level, the innermost lowest: a list; at most 64 */
};

/* The key of an item of a list is NULL. */
void json_out_object(struct json_out *out, const char *key);
void json_out_list(struct json_out *out, const char *key);
void json_out_close(struct json_out *out);

void json_out_text(struct json_out *out, const char *key, const char *value); /* NULL: null */
void json_out_number(struct json_out *out, const char *key, long long value);
void json_out_real(struct json_out *out, const char *key, double value); /* three decimals */
void json_out_flag(struct json_out *out, const char *key, bool value);
void json_out_date(struct json_out *out, const char *key, time_t when); /* "2026-03-28T23:07:44Z" */

/* One byte, one character: U+0000 to U+00FF. */
void json_out_bytes(struct json_out *out, const char *key, struct span value);

/* JSON as it is: the value of `key`, or with NULL items or members. An empty one is left out. */
void json_out_raw(struct json_out *out, const char *key, const struct strbuf *json);

/*
 * How a character is written between double quotes when it cannot stand for itself: a quote, a
 * backslash, a control character. Returns the length, 0 when it can; no NUL is added.
 */
#define JSON_ESCAPE_MAX 8
size_t json_escape(uint32_t point, char out[JSON_ESCAPE_MAX]);

/*
 * Moves past the first character of `rest`, which is not empty, and writes it as it stands between
 * double quotes, U+FFFD for a byte that is not UTF-8. Returns the length.
 */
size_t json_escape_next(struct span *rest, char out[JSON_ESCAPE_MAX]);

#endif
