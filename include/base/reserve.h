/*
 * Memory for what cannot take a failure: libev ends the process when its allocator returns NULL, and clients wait for
 * ever on a socket that is open and not accepted from. While the heap has none, blocks come from a reserve that is
 * part of the program's data; when the heap has memory again, they move there with their next change of size. When
 * the reserve is used up too, the calling thread waits. From any thread.
 */
#ifndef GATEHOUSE_RESERVE_H
#define GATEHOUSE_RESERVE_H

/* As realloc(3), but it never returns NULL for a size above 0; 0 frees. In the form of ev_set_allocator. */
void *reserve_resize(void *at, long size);

#endif
