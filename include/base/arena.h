/*
 * Many small allocations that end together. arena_reset forgets them all and keeps the memory for
 * the next round, so that a million rounds cost no malloc; what one round of unusual size took
 * beyond that is given back.
 */
#ifndef GATEHOUSE_BASE_ARENA_H
#define GATEHOUSE_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

/* All zero is an empty arena. */
struct arena {
	struct arena_block *newest;
};

/*
 * Zeroed, aligned for anything; NULL when memory is out. Valid until
 * arena_reset or arena_finish.
 */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_copy(struct arena *arena, const char *text, size_t len); /* ends in a NUL */
char *arena_format(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void arena_reset(struct arena *arena);
void arena_finish(struct arena *arena);

#endif
