/*
 * Kernel pipes for splice(2), pooled per loop. A direction takes one only while bytes wait in it and
 * gives it back empty, so that few serve many connections. What the kernel allows decides: beyond
 * pipe-user-pages-soft an ordinary user gets pipes too small to be worth it, and beyond the
 * descriptor limit none; then pipes_take says NULL and the caller copies.
 */
#ifndef GATEHOUSE_NET_PIPES_H
#define GATEHOUSE_NET_PIPES_H

#include <stdbool.h>
#include <stddef.h>

struct pipe {
	int read_fd, write_fd;
	size_t capacity, used; /* bytes */
	struct pipe *next;     /* in the pool */
};

struct pipes;

struct pipes *pipes_create(void);
void pipes_limit(struct pipes *pipes, unsigned most); /* taken and pooled; at first there is none */
void pipes_destroy(struct pipes *pipes); /* NULL is fine; those taken must have come back */

struct pipe *pipes_take(struct pipes *pipes);

/* An empty pipe goes back to the pool, one with bytes in it (a broken direction) is closed. */
void pipes_give(struct pipes *pipes, struct pipe *pipe);

/* Makes room for more in one call, up to a megabyte; does nothing where the kernel says no. */
void pipes_grow(struct pipes *pipes, struct pipe *pipe);

/* Frees the pooled ones for their descriptors, when accept ran out of them; how many it closed. */
unsigned pipes_trim(struct pipes *pipes);

/*
 * The kernel, or a filter of system calls, refuses splice(2) itself: no pipe is given out from now on, so
 * that everything on this loop copies.
 */
void pipes_stop_splicing(struct pipes *pipes);

unsigned pipes_in_use(const struct pipes *pipes);

#endif
