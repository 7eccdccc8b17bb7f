#include "route/pointers.h"

#include <stdlib.h>

bool pointers_add(struct pointers *pointers, void *item)
{
	if (pointers->count == pointers->room) {
		size_t room = pointers->room ? pointers->room * 2 : 8;
		void **more = realloc(pointers->items, room * sizeof *more);
		if (!more)
			return false;
		pointers->items = more;
		pointers->room = room;
	}
	pointers->items[pointers->count++] = item;
	return true;
}
