#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>

#define FINDING_MAX 4096

__attribute__((format(printf, 3, 0))) static void report_finding(
	struct report *report, enum severity severity, const char *format, va_list args)
{
	char text[FINDING_MAX];
	vsnprintf(text, sizeof text, format, args);
	report->on_finding(report, severity, text);
}

void report_error(struct report *report, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report->errors++;
	report_finding(report, SEVERITY_ERROR, format, args);
	va_end(args);
}

void report_warning(struct report *report, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report->warnings++;
	report_finding(report, SEVERITY_WARNING, format, args);
	va_end(args);
}

void report_cause(struct report *report, const struct err *err)
{
	report->passing += err->is_passing;
}

void report_all_passing(struct report *report)
{
	report->passing = report->errors;
}

void report_no_memory(struct report *report, const char *where)
{
	report_error(report, "%s%sout of memory", where ? where : "", where ? ": " : "");
	report->passing++;
}

bool report_is_passing(const struct report *report)
{
	return report->errors > 0 && report->errors == report->passing;
}
