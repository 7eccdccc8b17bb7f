#include "base/date.h"

#include <stdio.h>

void date_write(time_t when, char out[DATE_SIZE])
{
	struct tm parts;
	if (!gmtime_r(&when, &parts) || strftime(out, DATE_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		snprintf(out, DATE_SIZE, "%lld", (long long)when); /* no year of an int */
}
