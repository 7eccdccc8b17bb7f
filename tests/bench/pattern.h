/*
 * The bytes that every flow carries: a pseudo-random sequence with a prime period, so that lost,
 * doubled or shifted data never matches by chance. The byte at stream position p is known to both
 * ends without a copy.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_WINDOW (256 * 1024)

void pattern_init(void);

/* PATTERN_WINDOW readable bytes of the stream from this position. */
const unsigned char *pattern_at(uint64_t position);

/* length is at most PATTERN_WINDOW. */
bool pattern_matches(const unsigned char *bytes, size_t length, uint64_t position);

#endif
