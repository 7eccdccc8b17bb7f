/*
 * Examines paths again and again for changes of which there is no event, on a thread of its own: a
 * file system of the network may answer late, or never, and then only this thread waits for it.
 */
#ifndef GATEHOUSE_WATCH_POLLER_H
#define GATEHOUSE_WATCH_POLLER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLLER_SECONDS 2 /* of rest between two rounds */

struct poller;

/*
 * A poller of up to `count` paths; `on_change` is called on the loop after a round in which one was
 * not what it was, until poller_stop. NULL when memory or descriptors are out.
 */
struct poller *poller_create(
	struct ev_loop *loop, size_t count, void (*on_change)(void *owner), void *owner);

/*
 * An absolute path, copied, and what was last seen of it (watch/watch_set.h). Paths of one directory
 * in a row are cheap. False when memory is out.
 */
bool poller_add(struct poller *poller, const char *path, uint64_t facts);

/* After all have been added. False when there is no thread to be had. */
bool poller_start(struct poller *poller);

/* Does not wait for the thread, which frees what it uses when it gets to it. NULL is fine. */
void poller_stop(struct poller *poller);

#endif
