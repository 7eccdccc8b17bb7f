/*
 * The fields of an object as a table: the key, the getter that checks and stores its value, and
 * where in the struct it belongs. A new field is a new line in such a table. Unknown,
 * duplicate and missing keys are reported here for every object alike.
 */
#ifndef GATEHOUSE_CONFIG_READ_FIELDS_H
#define GATEHOUSE_CONFIG_READ_FIELDS_H

#include "base/arena.h"
#include "base/report.h"
#include "config/read/place.h"
#include "config/read/strings.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* What every getter needs: where findings go, and where the values that it makes live. */
struct reader {
	struct report *report;
	struct arena *arena;
	bool out_of_memory;
};

struct choice {
	const char *text; /* NULL ends a list of them */
	unsigned value;
};

/* The text of a value; NULL: it has none. */
const char *choice_text(const struct choice *choices, unsigned value);

struct field;

/* Checks `value` and stores it at `out`, the field's own member; or reports why not. */
typedef void field_get(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out);

/* What becomes of one string: a copy in the reader's arena, or NULL after reporting why not. */
typedef const char *field_item(struct reader *reader, const struct place *place, const char *text);

/* Traits: what a field is, for the checks that look at several fields together. */
enum {
	FIELD_REQUIRED = 1 << 0,
	FIELD_TERMINATE = 1 << 1, /* has a meaning in mode "terminate" only */
	FIELD_AUTH = 1 << 2,      /* has a meaning only where client certificates are requested */
	FIELD_IS_MODE = 1 << 3,
	FIELD_IS_BACKEND = 1 << 4,
	FIELD_IS_CERT = 1 << 5,
	FIELD_IS_KEY = 1 << 6,
	FIELD_IS_CA = 1 << 7,
	FIELD_IS_CLIENT_AUTH = 1 << 8,
	FIELD_IS_ACL = 1 << 9,
};

struct field {
	const char *key; /* NULL ends a table */
	field_get *get;
	size_t offset, size;
	unsigned traits;
	uint64_t min, max; /* of a number, a duration in ms, the items of a list; max 0: no limit */
	const struct choice *choices;
	field_item *item;           /* NULL: any text but an empty one */
	const struct field *fields; /* of an object */
};

#define FIELD_AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* The traits of all fields that an object gave, and of those whose value was refused. */
struct given {
	unsigned traits, wrong;
};

/* `object` was found to be an object; the members of `out` that it does not give are left alone. */
struct given fields_read(struct reader *reader, const struct field *table,
	const struct place *place, const cJSON *object, void *out);

/* How many members before this one have its key. */
unsigned field_nth(const cJSON *object, const cJSON *member);

const struct field *field_find(const struct field *table, const char *key);

/* Reports an unknown key, with the field that is spelt nearly alike, if there is one. */
void field_unknown(struct reader *reader, const struct field *table, const struct place *place);

/* "expected WHAT, got VALUE" */
void field_expected(
	struct reader *reader, const struct place *place, const char *what, const cJSON *value);

/* From the reader's arena; NULL, and out_of_memory set, when there is none. */
void *reader_alloc(struct reader *reader, size_t count, size_t size);
const char *reader_copy(struct reader *reader, const char *text);
const char *reader_place_text(struct reader *reader, const struct place *place);

/* Getters. `out` is what the comment says. */
field_get field_text;        /* const char *, through `item` */
field_get field_strings;     /* struct strings: a string or a list, each through `item` */
field_get field_choice;      /* an unsigned integer of the field's size, by `choices` */
field_get field_tls_version; /* uint16_t */
field_get field_expired_crl; /* bool: such lists refuse */
field_get field_count;       /* unsigned, from min to max */
field_get field_flag;        /* bool */
field_get field_duration;    /* uint64_t, ms, from min to max */
field_get field_object;      /* a struct, by `fields` */
field_get field_later;       /* nothing: the reader of the object reads it afterwards */

/* Items. */
field_item item_text;
field_item item_path; /* made absolute */

#endif
