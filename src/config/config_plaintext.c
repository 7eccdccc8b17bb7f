#include "config/config_plaintext.h"

#include "config/config_backend.h"

#include <string.h>

#define SILENCE_MIN_MS 100
#define SILENCE_MAX_MS 3600000

static void read_backend(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, struct plaintext_backend *out)
{
	struct place starttls = place_member(place, "starttls");
	backend_field(reader, field, place, value, &out->config);
	out->where = reader_place_text(reader, place);
	if (out->config.starttls)
		place_error(&starttls, reader->report,
			"what is passed on here is plaintext: no server is asked for TLS");
}

static void ssh_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	struct plaintext_config *plaintext = out;
	read_backend(reader, field, place, value, &plaintext->ssh);
}

static void http_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	struct plaintext_config *plaintext = out;
	plaintext->redirects_http =
		cJSON_IsString(value) && strcmp(value->valuestring, "redirect") == 0;
	if (!plaintext->redirects_http)
		read_backend(reader, field, place, value, &plaintext->http);
}

static const struct field plaintext_fields[] = {
	{"http", http_field, .offset = 0},
	{"ssh", ssh_field, .offset = 0},
	{"ssh_silence", field_duration, FIELD_AT(struct plaintext_config, ssh_silence_ms),
		.min = SILENCE_MIN_MS, .max = SILENCE_MAX_MS},
	{0},
};

static void check_fields(
	struct reader *reader, const struct place *place, const struct plaintext_config *plaintext)
{
	struct place silence = place_member(place, "ssh_silence");
	if (plaintext->ssh_silence_ms > 0 && !plaintext->ssh.where)
		place_error(&silence, reader->report, "\"ssh\" is missing beside it");
	else if (!plaintext->redirects_http && !plaintext->http.where && !plaintext->ssh.where)
		place_error(place, reader->report, "expected \"http\", \"ssh\" or both");
}

void plaintext_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	(void)field;
	if (!cJSON_IsObject(value)) {
		field_expected(reader, place, "an object with \"http\", \"ssh\" or both", value);
		return;
	}
	struct plaintext_config *plaintext = reader_alloc(reader, 1, sizeof *plaintext);
	if (!plaintext)
		return;
	fields_read(reader, plaintext_fields, place, value, plaintext);
	check_fields(reader, place, plaintext);
	*(const struct plaintext_config **)out = plaintext;
}

void plaintext_check(
	struct reader *reader, const struct place *place, const struct listener_config *listener)
{
	struct place plaintext = place_member(place, "plaintext");
	const struct preface *first = listener->prefaces ? *listener->prefaces : NULL;
	if (listener->plaintext && first && first->speaks_first)
		place_error(&plaintext, reader->report,
			"\"starttls\": \"%s\" stands alone: its server speaks first", first->name);
}
