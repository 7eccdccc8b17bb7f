#include "base/reserve.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RESERVE_SIZE (2u << 20) /* pages that are never used cost nothing */
#define RETRY_MS     10

struct reserve_block {
	alignas(max_align_t) size_t size;
};

/* Blocks are laid one behind the other; the room comes back when the last of them has gone. */
static struct {
	pthread_mutex_t lock;
	size_t used;
	unsigned blocks;
	alignas(max_align_t) uint8_t room[RESERVE_SIZE];
} reserve = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_in_reserve(const void *at)
{
	uintptr_t from = (uintptr_t)reserve.room, address = (uintptr_t)at;
	return address >= from && address < from + RESERVE_SIZE;
}

static size_t reserve_block_size(const void *at)
{
	return ((const struct reserve_block *)at - 1)->size;
}

static void *reserve_take(size_t size)
{
	size_t whole = sizeof(struct reserve_block) +
		(size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	struct reserve_block *block = NULL;
	pthread_mutex_lock(&reserve.lock);
	if (whole >= size && whole <= RESERVE_SIZE - reserve.used) {
		block = (struct reserve_block *)(void *)(reserve.room + reserve.used);
		block->size = size;
		reserve.used += whole;
		reserve.blocks++;
	}
	pthread_mutex_unlock(&reserve.lock);
	return block ? block + 1 : NULL;
}

static void reserve_give_back(void)
{
	pthread_mutex_lock(&reserve.lock);
	if (--reserve.blocks == 0)
		reserve.used = 0;
	pthread_mutex_unlock(&reserve.lock);
}

/* From the heap to the heap realloc moves it; the reserve needs a copy. */
static void *try_resize(void *at, size_t old_size, size_t size)
{
	bool was_in_reserve = is_in_reserve(at);
	void *now = was_in_reserve ? malloc(size) : realloc(at, size);
	if (now && !was_in_reserve)
		return now;
	if (!now && !(now = reserve_take(size)))
		return NULL;
	if (at)
		memcpy(now, at, old_size < size ? old_size : size);
	if (was_in_reserve)
		reserve_give_back();
	else
		free(at);
	return now;
}

void *reserve_resize(void *at, long size)
{
	if (size <= 0) {
		if (is_in_reserve(at))
			reserve_give_back();
		else
			free(at);
		return NULL;
	}
	for (;;) {
		size_t old_size =
			is_in_reserve(at) ? reserve_block_size(at) : malloc_usable_size(at);
		void *now = try_resize(at, old_size, (size_t)size);
		if (now)
			return now;
		poll(NULL, 0, RETRY_MS);
	}
}
