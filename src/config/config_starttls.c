#include "config/config_starttls.h"

#include <string.h>

static const struct preface *read_word(
	struct reader *reader, const struct place *place, const cJSON *value)
{
	char expected[200] = "one of ";
	size_t used = strlen(expected);
	const struct preface *found =
		cJSON_IsString(value) ? preface_find(value->valuestring) : NULL;
	if (found)
		return found;
	preface_names(expected + used, sizeof expected - used);
	field_expected(reader, place, expected, value);
	return NULL;
}

void starttls_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	(void)field;
	*(const struct preface **)out = read_word(reader, place, value);
}

static bool is_listed(const struct preface **list, size_t count, const struct preface *preface)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == preface)
			return true;
	return false;
}

/* A server that speaks first can say one greeting only. */
static void check_together(
	struct reader *reader, const struct place *place, const struct preface **list, size_t count)
{
	for (size_t i = 0; i < count && count > 1; i++)
		if (list[i]->speaks_first) {
			place_error(place, reader->report,
				"\"%s\" stands alone: its server speaks first", list[i]->name);
			return;
		}
}

void starttls_list_field(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, void *out)
{
	int size = cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 1;
	const struct preface **list = reader_alloc(reader, (size_t)size + 1, sizeof *list);
	size_t count = 0;
	unsigned index = 0;
	(void)field;
	if (!list)
		return;
	if (size == 0)
		field_expected(reader, place, "a word, or a list of one or more", value);
	if (!cJSON_IsArray(value) && (list[0] = read_word(reader, place, value)) != NULL)
		count = 1;
	for (const cJSON *item = cJSON_IsArray(value) ? value->child : NULL; item;
		item = item->next, index++) {
		struct place here = place_item(place, index);
		const struct preface *preface = read_word(reader, &here, item);
		if (preface && is_listed(list, count, preface))
			place_error(
				&here, reader->report, "\"%s\" stands here twice", preface->name);
		else if (preface)
			list[count++] = preface;
	}
	check_together(reader, place, list, count);
	if (count > 0)
		*(const struct preface *const **)out = list;
}
