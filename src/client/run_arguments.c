#include "client/run_arguments.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORDS 4

static const char *const words[WORDS] = {"{addr}", "{host}", "{port}", "{socket}"};
static const char *const variables[WORDS] = {
	"GATEHOUSE_ADDR", "GATEHOUSE_HOST", "GATEHOUSE_PORT", "GATEHOUSE_SOCKET"};

/* What each word stands for; NULL where there is no such thing. */
struct values {
	const char *text[WORDS];
	char addr[ADDRESS_TEXT_MAX], host[ADDRESS_TEXT_MAX];
};

static void describe(const struct address *address, struct values *out)
{
	*out = (struct values){0};
	address_text(&address->any, address->len, out->addr);
	out->text[0] = out->addr;
	if (address->any.sa_family == AF_UNIX) {
		out->text[3] = address->un.sun_path;
		return;
	}
	snprintf(out->host, sizeof out->host, "%s", out->addr);
	char *colon = strrchr(out->host, ':');
	*colon = '\0';
	out->text[1] = out->host;
	out->text[2] = colon + 1;
	if (out->host[0] == '[') { /* brackets belong to an address with a port */
		out->text[1] = out->host + 1;
		colon[-1] = '\0';
	}
}

/* The word that `text` begins with; WORDS: none. */
static size_t word_at(const char *text)
{
	size_t i = 0;
	while (i < WORDS && strncmp(text, words[i], strlen(words[i])) != 0)
		i++;
	return i;
}

unsigned run_arguments_words(char **argv)
{
	unsigned found = 0;
	for (; *argv; argv++)
		for (const char *at = *argv; (at = strchr(at, '{')); at++)
			found |= word_at(at) < WORDS ? 1u << word_at(at) : 0;
	return found;
}

static char *fill(struct arena *arena, const char *text, const struct values *values)
{
	char *out = arena_copy(arena, "", 0);
	while (out && *text) {
		size_t word = word_at(text);
		if (word < WORDS && values->text[word]) {
			out = arena_format(arena, "%s%s", out, values->text[word]);
			text += strlen(words[word]);
			continue;
		}
		size_t len = 1 + strcspn(text + 1, "{");
		out = arena_format(arena, "%s%.*s", out, (int)len, text);
		text += len;
	}
	return out;
}

char **run_arguments_fill(struct arena *arena, char **argv, const struct address *address)
{
	struct values values;
	size_t count = 0;
	while (argv[count])
		count++;
	char **out = arena_alloc(arena, (count + 1) * sizeof *out);
	describe(address, &values);
	for (size_t i = 0; out && i < count; i++)
		if (!(out[i] = fill(arena, argv[i], &values)))
			return NULL;
	return out;
}

static bool is_ours(const char *entry)
{
	for (size_t i = 0; i < WORDS; i++)
		if (strncmp(entry, variables[i], strlen(variables[i])) == 0 &&
			entry[strlen(variables[i])] == '=')
			return true;
	return false;
}

char **run_arguments_environment(struct arena *arena, const struct address *address)
{
	struct values values;
	size_t count = 0, used = 0;
	while (environ[count])
		count++;
	char **out = arena_alloc(arena, (count + WORDS + 1) * sizeof *out);
	describe(address, &values);
	for (size_t i = 0; out && i < count; i++)
		if (!is_ours(environ[i]))
			out[used++] = environ[i];
	for (size_t i = 0; out && i < WORDS; i++)
		if (values.text[i] &&
			!(out[used++] = arena_format(arena, "%s=%s", variables[i], values.text[i])))
			return NULL;
	return out;
}
