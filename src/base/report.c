#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>

#define TOLD_MAX 4096

__attribute__((format(printf, 3, 0))) static void tell(
	struct report *report, enum severity severity, const char *format, va_list args)
{
	char text[TOLD_MAX];
	vsnprintf(text, sizeof text, format, args);
	report->tell(report, severity, text);
}

void report_error(struct report *report, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report->errors++;
	tell(report, SEVERITY_ERROR, format, args);
	va_end(args);
}

void report_warning(struct report *report, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report->warnings++;
	tell(report, SEVERITY_WARNING, format, args);
	va_end(args);
}
