/* A doubly linked ring; its head is an element too. A struct is linked by its first member. */
#ifndef GATEHOUSE_BASE_RING_H
#define GATEHOUSE_BASE_RING_H

#include <stdbool.h>

struct ring {
	struct ring *prev, *next;
};

static inline void ring_init(struct ring *head)
{
	head->prev = head->next = head;
}

static inline bool ring_is_empty(const struct ring *head)
{
	return head->next == head;
}

static inline void ring_insert_after(struct ring *place, struct ring *element)
{
	element->prev = place;
	element->next = place->next;
	place->next->prev = element;
	place->next = element;
}

static inline void ring_remove(struct ring *element)
{
	element->next->prev = element->prev;
	element->prev->next = element->next;
}

#endif
