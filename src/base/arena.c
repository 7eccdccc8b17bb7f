#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)4096)
#define BLOCK_MAX  ((size_t)1024 * 1024)
#define ALIGNMENT  (sizeof(max_align_t))

struct arena_block {
	struct arena_block *older;
	size_t used, size;
	max_align_t bytes[];
};

/*
 * Each block is twice the one before: what a large arena took comes from mmap, and goes back to the
 * kernel with it.
 */
static struct arena_block *block_add(struct arena *arena, size_t size)
{
	size_t room = arena->newest ? arena->newest->size * 2 : BLOCK_SIZE;
	if (room > BLOCK_MAX)
		room = BLOCK_MAX;
	if (room < size)
		room = size;
	struct arena_block *block = malloc(sizeof *block + room);
	if (!block)
		return NULL;
	*block = (struct arena_block){.older = arena->newest, .size = room};
	arena->newest = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	struct arena_block *block = arena->newest;
	if (!block || block->size - block->used < size)
		block = block_add(arena, size);
	if (!block)
		return NULL;
	void *out = (char *)block->bytes + block->used;
	block->used += size;
	return memset(out, 0, size);
}

char *arena_copy(struct arena *arena, const char *text, size_t len)
{
	char *out = arena_alloc(arena, len + 1);
	if (out && len > 0)
		memcpy(out, text, len);
	return out;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	char *out = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
	if (out)
		vsnprintf(out, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return out;
}

/* The oldest block is of the usual size, or nearly so: it is the one worth keeping. */
void arena_reset(struct arena *arena)
{
	while (arena->newest && arena->newest->older) {
		struct arena_block *block = arena->newest;
		arena->newest = block->older;
		free(block);
	}
	if (arena->newest && arena->newest->size > BLOCK_SIZE)
		arena_finish(arena);
	else if (arena->newest)
		arena->newest->used = 0;
}

void arena_finish(struct arena *arena)
{
	while (arena->newest) {
		struct arena_block *block = arena->newest;
		arena->newest = block->older;
		free(block);
	}
}
