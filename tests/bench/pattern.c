#include "pattern.h"

#include <string.h>

#define PERIOD 1048573

static unsigned char bytes_of_period[PERIOD + PATTERN_WINDOW];

void pattern_init(void)
{
	uint64_t state = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < PERIOD; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		bytes_of_period[i] = (unsigned char)(state >> 32);
	}
	memcpy(bytes_of_period + PERIOD, bytes_of_period, PATTERN_WINDOW);
}

const unsigned char *pattern_at(uint64_t position)
{
	return bytes_of_period + position % PERIOD;
}

bool pattern_matches(const unsigned char *bytes, size_t length, uint64_t position)
{
	return memcmp(bytes, pattern_at(position), length) == 0;
}
