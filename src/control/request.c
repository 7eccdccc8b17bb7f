#include "control/request.h"

#include "base/json_scan.h"

#include <stdlib.h>
#include <string.h>

static char *copy_value(const char *text, size_t from, size_t to, struct err *err)
{
	char first = text[from];
	char *value = malloc(to - from + 1);
	if (!value) {
		err_set(err, "out of memory");
		return NULL;
	}
	if (first == '"') {
		json_decode(text + from + 1, to - from - 2, value);
		return value;
	}
	memcpy(value, text + from, to - from);
	value[to - from] = '\0';
	if (first != '{' && first != '[')
		return value;
	err_set(err, "expected texts, numbers and flags, got \"%.40s\"", value);
	free(value);
	return NULL;
}

static bool request_add(
	struct request *request, const struct json_member *member, char *value, struct err *err)
{
	char *name = malloc(member->name_len + 1);
	if (!name || request->count == REQUEST_MEMBERS_MAX) {
		err_set(err, name ? "too many members" : "out of memory");
		free(name);
		free(value);
		return false;
	}
	json_decode(member->name, member->name_len, name);
	request->members[request->count].name = name;
	request->members[request->count++].value = value;
	return true;
}

bool request_parse(struct request *request, const char *line, size_t len, struct err *err)
{
	struct json json;
	struct json_member member;
	*request = (struct request){0};
	if (!json_begin(&json, line, len) || json_peek(&json) != '{' || !json_enter(&json)) {
		err_set(err, "expected a JSON object on one line");
		return false;
	}
	while (json_next(&json, &member)) {
		json_peek(&json);
		size_t from = json.at, end;
		if (!json_skip(&json, &end))
			break;
		while (from < end && strchr(" \t\r\n", line[from]))
			from++;
		char *value = copy_value(line, from, end, err);
		if (!value || !request_add(request, &member, value, err))
			return false;
	}
	if (json_end(&json))
		return true;
	err_set(err, "not JSON: %s", json.fault.text);
	return false;
}

void request_finish(struct request *request)
{
	for (size_t i = 0; i < request->count; i++) {
		free(request->members[i].name);
		free(request->members[i].value);
	}
	request->count = 0;
}

const char *request_text(const struct request *request, const char *name)
{
	for (size_t i = 0; i < request->count; i++)
		if (strcmp(request->members[i].name, name) == 0 && request->members[i].value[0])
			return request->members[i].value;
	return NULL;
}

bool request_flag(const struct request *request, const char *name)
{
	const char *value = request_text(request, name);
	return value && strcmp(value, "true") == 0;
}

static bool is_listed(const char *name, const char *known)
{
	size_t len = strlen(name);
	for (const char *at = known; len > 0 && (at = strstr(at, name)) != NULL; at += len)
		if ((at == known || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

bool request_has_only(const struct request *request, const char *known, struct err *err)
{
	for (size_t i = 0; i < request->count; i++) {
		const char *name = request->members[i].name;
		if (strcmp(name, "command") == 0 || is_listed(name, known))
			continue;
		err_set(err, "\"%s\" is not for this command%s%s", name,
			*known ? "; there are: " : "", known);
		return false;
	}
	return true;
}
