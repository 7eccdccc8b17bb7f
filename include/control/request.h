/* A request on the control socket: one line, a JSON object whose members are texts, numbers or flags. */
#ifndef GATEHOUSE_CONTROL_REQUEST_H
#define GATEHOUSE_CONTROL_REQUEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_MEMBERS_MAX 12

struct request {
	struct {
		char *name, *value; /* of a number or flag its own letters */
	} members[REQUEST_MEMBERS_MAX];
	size_t count;
};

/* False with `err`; to be finished either way. */
bool request_parse(struct request *request, const char *line, size_t len, struct err *err);
void request_finish(struct request *request);

/* NULL: not given, or empty. */
const char *request_text(const struct request *request, const char *name);
bool request_flag(const struct request *request, const char *name);

/* Is each member one of `known` (names with blanks between)? */
bool request_has_only(const struct request *request, const char *known, struct err *err);

#endif
