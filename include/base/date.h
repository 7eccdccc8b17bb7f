/* Dates as the log, JSON and messages have them: UTC, RFC 3339, "2026-03-28T23:07:44Z". */
#ifndef GATEHOUSE_BASE_DATE_H
#define GATEHOUSE_BASE_DATE_H

#include <time.h>

#define DATE_SIZE 32 /* years have up to ten digits */

void date_write(time_t when, char out[DATE_SIZE]);

#endif
