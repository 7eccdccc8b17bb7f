/*
 * A strict scanner for JSON (RFC 8259) that walks over a text and builds nothing: it tells where
 * the members of an object and the items of a list begin and end, and proves on the way that the
 * text is sound. It does not recurse, and refuses more than JSON_DEPTH_MAX levels. Refused too: a
 * byte order mark, "\u0000", lone surrogates, anything behind the document.
 *
 *     json_begin(&json, text, len);
 *     if (json_enter(&json))
 *         while (json_next(&json, &member))       the scanner stands at the member's value, so
 *             json_skip(&json, &value);           skip it, or json_enter it and walk on inside
 *     json_end(&json);
 *
 * The first error stops it for good: everything after answers false, `failed` says so, `fault_at`
 * is where, and `fault` tells what was expected. The text is lent and outlives the scanner.
 */
#ifndef GATEHOUSE_BASE_JSON_SCAN_H
#define GATEHOUSE_BASE_JSON_SCAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH_MAX 64

struct json {
	const char *text;
	size_t len, at;
	unsigned depth;
	bool fresh; /* entered just now: no comma before the next member */
	bool failed;
	size_t fault_at;
	struct err fault;
	char closers[JSON_DEPTH_MAX]; /* '}' or ']' of each level that is open */
};

struct json_member {
	size_t at;        /* where the name begins, or the item of a list */
	const char *name; /* raw, between its quotes; NULL in a list */
	size_t name_len;
};

/* False: the text begins with a byte order mark or is not UTF-8. */
bool json_begin(struct json *json, const char *text, size_t len);

/* Stands at `at` in a text that was scanned before. */
void json_resume(struct json *json, const char *text, size_t len, size_t at);

/* The first byte of the value that the scanner stands at, '\0' at the end of the text. */
char json_peek(const struct json *json);

bool json_enter(struct json *json);
bool json_next(struct json *json, struct json_member *member); /* false: closed, or failed */
bool json_skip(struct json *json, size_t *end);
bool json_end(struct json *json);

/* The string whose raw form is given, into `out` of len + 1 bytes; it never holds a NUL. */
void json_decode(const char *raw, size_t len, char *out);

#endif
