/* Any bytes as a name: the canonical form is one, is its own canonical form, and covers itself. */
#include "wire/server_name.h"
#include <stdlib.h>

#define CHECK(claim)                                                                               \
	do {                                                                                       \
		if (!(claim))                                                                      \
			abort();                                                                   \
	} while (0)

/* What a ClientHello has: the same, but for addresses, which are of printable ASCII and count as none. */
static void check_sni(struct span raw)
{
	struct server_name name, sni;
	const char *error = server_name_parse(raw, &name);
	const char *sni_error = server_name_parse_sni(raw, &sni);
	CHECK(sni.len == name.len && strcmp(sni.text, name.text) == 0);
	if (error == sni_error)
		return;
	CHECK(!sni_error && strcmp(error, "is an IP address") == 0);
	for (size_t i = 0; i < raw.len; i++)
		CHECK(raw.data[i] > ' ' && raw.data[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef const char *parse_fn(struct span raw, struct server_name *out);

static void check_canonical(const struct server_name *name)
{
	const char *text = name->text;
	CHECK(name->len > 0 && name->len <= SERVER_NAME_MAX && strlen(text) == name->len);
	CHECK(text[0] != '.' && text[name->len - 1] != '.' && !strstr(text, ".."));
	for (size_t i = 0; i < name->len; i++) {
		CHECK((uint8_t)text[i] >= 0x20 && text[i] != 0x7f);
		CHECK(text[i] < 'A' || text[i] > 'Z');
	}
}

static void check_again(parse_fn *parse, const struct server_name *name, const char *tail)
{
	struct server_name again;
	char text[SERVER_NAME_MAX + 2];
	memcpy(text, name->text, name->len + 1u);
	strcat(text, tail);
	CHECK(!parse(span_of_string(text), &again));
	CHECK(again.len == name->len && strcmp(again.text, name->text) == 0);
}

static bool check(parse_fn *parse, struct span raw, struct server_name *name)
{
	const char *error = parse(raw, name);
	if (error) {
		CHECK(*error && name->len == 0 && name->text[0] == '\0');
		return false;
	}
	check_canonical(name);
	check_again(parse, name, "");
	check_again(parse, name, ".");
	CHECK(server_name_covered(name, name));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct server_name name, pattern;
	struct span raw = span_of(data, len);
	bool is_name = check(server_name_parse, raw, &name);
	bool is_pattern = check(server_name_parse_pattern, raw, &pattern);
	CHECK(is_name || !is_pattern);
	check_sni(raw);
	CHECK(is_pattern == (is_name && !strchr(name.text + (pattern.text[0] == '*'), '*')));
	/* The two halves of the input as a pattern and a name. */
	if (!server_name_parse_pattern(span_of(data, len / 2), &pattern) &&
		!server_name_parse(span_of(data + len / 2, len - len / 2), &name) &&
		server_name_covered(&pattern, &name)) {
		const char *rest = strchr(name.text, '.');
		CHECK(strcmp(name.text, pattern.text) == 0 ||
			(rest && pattern.text[0] == '*' && strcmp(rest, pattern.text + 1) == 0));
	}
	return 0;
}
