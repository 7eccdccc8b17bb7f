/* Time, from the vDSO: no system call. Intervals are measured on the monotonic clock only. */
#ifndef GATEHOUSE_BASE_CLOCK_H
#define GATEHOUSE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Microseconds on the monotonic clock. */
uint64_t clock_now_us(void);

/* The wall clock in UTC as "2026-03-28T23:07:44.123Z"; `out` holds CLOCK_STAMP_SIZE bytes. */
#define CLOCK_STAMP_SIZE 25
void clock_stamp(char *out);

#endif
