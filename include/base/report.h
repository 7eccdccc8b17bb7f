/*
 * Where findings go while something large is checked: a configuration is read to its end and every
 * error is reported, not only the first. Whoever starts the check decides what a finding becomes (a
 * line on stderr, an entry in the log).
 */
#ifndef GATEHOUSE_BASE_REPORT_H
#define GATEHOUSE_BASE_REPORT_H

#include "base/err.h"

#include <stdbool.h>

enum severity { SEVERITY_WARNING, SEVERITY_ERROR };

struct report {
	/* `text` is one line without its newline, complete with file, line and path; lent. */
	void (*on_finding)(struct report *report, enum severity severity, const char *text);
	void *owner;
	unsigned errors, warnings; /* counted by the functions below */
	unsigned passing;          /* of the errors: what caused them passes (base/err.h) */
};

void report_error(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void report_warning(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* After report_error: `err` is what caused it. */
void report_cause(struct report *report, const struct err *err);

/* Whatever its errors say: what caused them all passes. */
void report_all_passing(struct report *report);

/* The error "WHERE: out of memory"; `where` may be NULL. */
void report_no_memory(struct report *report, const char *where);

/* There are errors, and what caused them passes: the same may succeed later. */
bool report_is_passing(const struct report *report);

#endif
