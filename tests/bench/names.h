/*
 * Server names made from a pattern: each '#' is a digit of the number, so all names of a pattern
 * have the same length and can be patched into a captured hello.
 */
#ifndef BENCH_NAMES_H
#define BENCH_NAMES_H

#include <stdint.h>

#define NAME_MAX_LENGTH 255

/* Writes strlen(pattern) bytes, no NUL. */
void name_write(const char *pattern, uint32_t number, unsigned char *to);

/* A number below count, spread over the whole range so that neighbours share no cache line. */
uint32_t name_number(uint32_t index, uint32_t count);

#endif
