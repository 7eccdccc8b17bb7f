/* A list of texts, which live as long as what holds it. */
#ifndef GATEHOUSE_CONFIG_READ_STRINGS_H
#define GATEHOUSE_CONFIG_READ_STRINGS_H

#include <stddef.h>

struct strings {
	const char **items;
	size_t count;
};

#endif
