/*
 * Where in a configuration something stands, for messages only:
 *
 *     config.json:14: hosts["app.example.com"].backend: expected ...
 *
 * A place is a step of a path, made on the stack on the way down and linked to the step above it.
 * It costs nothing until an error is reported: only then is the text searched for the step's line,
 * beginning at the nearest step above whose position was kept.
 */
#ifndef GATEHOUSE_CONFIG_READ_PLACE_H
#define GATEHOUSE_CONFIG_READ_PLACE_H

#include "base/report.h"

#include <stdarg.h>
#include <stddef.h>

/* One file, whole in memory. */
struct source {
	const char *name;      /* as the user named it */
	const char *directory; /* absolute; relative paths in the file begin here */
	const char *text;
	size_t len;
	size_t counted_to; /* what source_line knows from its last answer */
	unsigned counted_line;
};

struct place {
	const struct place *up; /* NULL: the whole file */
	struct source *source;
	const char *key; /* NULL: an item of a list */
	unsigned index;
	unsigned nth;                /* of several members with this key: 0 is the first */
	bool is_name;                /* the key is the user's own: written ["key"], never .key */
	bool is_known;               /* at and value_at are set */
	size_t at, value_at;         /* where the member and where its value begin */
	const struct place *heir_of; /* where the fields stand that this place inherits */
};

unsigned source_line(struct source *source, size_t at);

struct place place_root(struct source *source);
struct place place_member(const struct place *up, const char *key);
struct place place_item(const struct place *up, unsigned index);

/* Where the value of the place begins; false when there is no such member. */
bool place_find(const struct place *place, size_t *value_at);

void place_error(const struct place *place, struct report *report, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void place_report(const struct place *place, struct report *report, enum severity severity,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));

/* "config.json:14: hosts["app.example.com"].backend" */
void place_text(const struct place *place, char *out, size_t size);

/* The text in double quotes, what does not print escaped, cut where it is longer than fits. */
void place_quote(const char *text, char *out, size_t size);

#endif
