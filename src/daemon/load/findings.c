#include "daemon/load/findings.h"

#include <stdlib.h>
#include <string.h>

/* Without memory a finding is lost; the report counts it all the same. */
static void on_finding(struct report *report, enum severity severity, const char *text)
{
	struct findings *findings = report->owner;
	if (findings->count == findings->room) {
		size_t room = findings->room ? findings->room * 2 : 16;
		struct finding *more = realloc(findings->items, room * sizeof *more);
		if (!more)
			return;
		findings->items = more;
		findings->room = room;
	}
	char *copy = arena_copy(&findings->arena, text, strlen(text));
	if (copy)
		findings->items[findings->count++] = (struct finding){severity, copy};
}

void findings_report(struct findings *findings, struct report *report)
{
	*report = (struct report){.on_finding = on_finding, .owner = findings};
}

void findings_finish(struct findings *findings)
{
	free(findings->items);
	arena_finish(&findings->arena);
	*findings = (struct findings){0};
}
