/*
 * How many connections each source has, and how fast it makes new ones; a source is an IPv4 address
 * or an IPv6 /64. Shared by all workers, in parts with a lock each; used only where a limit is set.
 */
#ifndef GATEHOUSE_SESSION_SOURCES_H
#define GATEHOUSE_SESSION_SOURCES_H

#include <stdbool.h>
#include <sys/socket.h>

struct sources;

struct sources *sources_create(void);
void sources_destroy(struct sources *sources);

enum source_verdict { SOURCE_ADMITTED, SOURCE_TOO_MANY, SOURCE_TOO_FAST, SOURCE_NO_MEMORY };

/*
 * Counts a new connection. 0 stands for no limit; `rate` is per second, and as many may come at
 * once. What is admitted must be given back with sources_leave.
 */
enum source_verdict sources_enter(
	struct sources *sources, const struct sockaddr *source, unsigned most, unsigned rate);
void sources_leave(struct sources *sources, const struct sockaddr *source);

#endif
