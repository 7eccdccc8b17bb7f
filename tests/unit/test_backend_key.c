/*
 * A backend's key: it differs when any field of its configuration does, whatever the reader knows.
 */
#include "route/backend_key.h"

#include "config/config_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * A new member changes a size. One that no table of config_backend.c has needs a test of its own.
 */
_Static_assert(sizeof(struct server_config) == 16, "is every member of a server in its table?");
_Static_assert(sizeof(struct client_tls_config) == 64, "is every member of TLS in its table?");
_Static_assert(sizeof(struct backend_config) == 136, "is every member of a backend in its table?");

/* With storage of its own, so that each test may change what it likes. */
struct sample {
	struct backend_config config;
	struct server_config servers[3];
	const char *ca[2];
};

static void sample_init(struct sample *sample)
{
	*sample = (struct sample){.servers = {{"a:1", false}, {"b:2", false}, {"c:3", true}},
		.ca = {"/ca", "/other"}};
	sample->config = (struct backend_config){.servers = sample->servers,
		.count = 2,
		.has_tls = true,
		.tls = {.ca = {sample->ca, 1}, .min_version = 0x0303},
		.health_interval_ms = 5000};
}

static struct strbuf key_of(const struct sample *sample)
{
	struct strbuf key = {0};
	backend_key(&sample->config, &key);
	assert_false(key.failed);
	assert_true(key.len > 0);
	return key;
}

static bool same_key(const struct sample *a, const struct sample *b)
{
	struct strbuf one = key_of(a), other = key_of(b);
	bool is_same = one.len == other.len && memcmp(one.at, other.at, one.len) == 0;
	strbuf_finish(&one);
	strbuf_finish(&other);
	return is_same;
}

static void equal_backends_have_equal_keys(void **state)
{
	struct sample one, other;
	char copy[] = "b:2";
	(void)state;
	sample_init(&one);
	sample_init(&other);
	other.servers[1].address = copy;
	assert_true(same_key(&one, &other));
}

static const char *const other_texts[] = {"other"};

/* Gives a member another value. */
static void change(const struct field *field, void *member)
{
	uint8_t *bytes = member;
	if (field->get == field_text)
		*(const char **)member = other_texts[0];
	else if (field->get == field_strings)
		*(struct strings *)member = (struct strings){(const char **)other_texts, 1};
	else if (field->size == 0 || field->size > sizeof(uint64_t))
		fail_msg("%s: how does this test change it?", field->key);
	else
		bytes[0] ^= 1;
}

/* Where the fields of a part are. */
static void *part_of(struct sample *sample, const struct field *field)
{
	if (strcmp(field->key, "servers") == 0)
		return &sample->servers[1];
	if (strcmp(field->key, "tls") == 0)
		return &sample->config.tls;
	return &sample->config;
}

static void assert_in_key(const struct field *part, const struct field *field)
{
	struct sample plain, changed;
	sample_init(&plain);
	sample_init(&changed);
	void *base = part ? part_of(&changed, part) : &changed.config;
	change(field, (char *)base + field->offset);
	if (same_key(&plain, &changed))
		fail_msg("%s is not in the key", field->key);
}

static void every_field_is_in_the_key(void **state)
{
	unsigned count = 0;
	(void)state;
	for (const struct field *field = backend_config_fields(); field->key; field++) {
		if (!field->fields)
			assert_in_key(NULL, field);
		count += !field->fields;
		for (const struct field *inner = field->fields; inner && inner->key; inner++) {
			assert_in_key(field, inner);
			count++;
		}
	}
	assert_true(count >= 15);
}

static void the_number_of_servers_and_tls_are_in_it(void **state)
{
	struct sample plain, changed;
	(void)state;
	sample_init(&plain);
	sample_init(&changed);
	changed.config.count = 3;
	assert_false(same_key(&plain, &changed));
	sample_init(&changed);
	changed.config.has_tls = false;
	assert_false(same_key(&plain, &changed));
}

/* One text that ends where another begins is not the same as two others that do. */
static void borders_count(void **state)
{
	struct sample plain, changed;
	(void)state;
	sample_init(&plain);
	sample_init(&changed);
	changed.servers[0].address = "a:1b:2";
	changed.servers[1].address = "";
	assert_false(same_key(&plain, &changed));
	sample_init(&changed);
	changed.config.tls.server_name = "";
	assert_false(same_key(&plain, &changed));
	sample_init(&changed);
	changed.config.tls.crl = changed.config.tls.ca;
	changed.config.tls.ca.count = 0;
	assert_false(same_key(&plain, &changed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_backends_have_equal_keys),
		cmocka_unit_test(every_field_is_in_the_key),
		cmocka_unit_test(the_number_of_servers_and_tls_are_in_it),
		cmocka_unit_test(borders_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
