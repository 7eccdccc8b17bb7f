#include "names.h"

#include <string.h>

void name_write(const char *pattern, uint32_t number, unsigned char *to)
{
	for (size_t i = strlen(pattern); i-- > 0;) {
		to[i] = (unsigned char)pattern[i];
		if (pattern[i] == '#') {
			to[i] = (unsigned char)('0' + number % 10);
			number /= 10;
		}
	}
}

uint32_t name_number(uint32_t index, uint32_t count)
{
	uint64_t mixed = (uint64_t)index * 0x9e3779b97f4a7c15;

	return (uint32_t)((mixed >> 33) % count);
}
