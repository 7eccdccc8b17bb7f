/* A list of pointers that grows; its holder frees `items`. */
#ifndef GATEHOUSE_ROUTE_POINTERS_H
#define GATEHOUSE_ROUTE_POINTERS_H

#include <stdbool.h>
#include <stddef.h>

struct pointers {
	void **items;
	size_t count, room;
};

/* False: out of memory. */
bool pointers_add(struct pointers *pointers, void *item);

#endif
