/* What a load found wrong, each a line of text; kept in their order for the log and for callers. */
#ifndef GATEHOUSE_DAEMON_LOAD_FINDINGS_H
#define GATEHOUSE_DAEMON_LOAD_FINDINGS_H

#include "base/arena.h"
#include "base/report.h"

struct finding {
	enum severity severity;
	const char *text;
};

/* All zero is an empty one. */
struct findings {
	struct arena arena;
	struct finding *items;
	size_t count, room;
};

/* A report that adds to them; to be used while they live. */
void findings_report(struct findings *findings, struct report *report);
void findings_finish(struct findings *findings);

#endif
